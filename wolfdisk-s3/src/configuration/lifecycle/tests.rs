//! Lifecycle rules against a plain reference, and their bytes.

use proptest::prelude::*;

use super::*;

fn rule(id: &str) -> Rule {
    Rule {
        id: id.to_owned(),
        enabled: true,
        form: Form::Filter,
        filter: Filter::default(),
        expiration: Some(Expiration::Days(1)),
        abort_after_days: None,
        noncurrent: None,
    }
}

fn refusal(rule: Rule) -> Option<Invalid> {
    Rules::new(vec![rule]).err()
}

fn known(key: &str, modified: i64, size: u64) -> Known<'_> {
    Known {
        key,
        modified,
        size,
        tags: &[],
    }
}

#[test]
fn the_rules_of_s3_are_kept() {
    assert_eq!(refusal(rule("a")), None);
    assert!(matches!(Rules::new(vec![]), Err(Invalid::Xml(_))));
    let many = |count: usize| (0..count).map(|n| rule(&n.to_string())).collect();
    assert!(Rules::new(many(1000)).is_ok());
    assert!(matches!(Rules::new(many(1001)), Err(Invalid::Xml(_))));
    let twice = Rules::new(vec![rule("a"), rule("b"), rule("a")]);
    assert!(matches!(twice, Err(Invalid::Argument(_))));
    assert_eq!(refusal(rule(&"\u{e4}".repeat(255))), None);
    assert!(matches!(
        refusal(rule(&"i".repeat(256))),
        Some(Invalid::Argument(_))
    ));
    let expiration = |expiration| Rule {
        expiration,
        ..rule("a")
    };
    assert!(matches!(
        refusal(expiration(None)),
        Some(Invalid::Request(_))
    ));
    let never = expiration(Some(Expiration::Days(0)));
    assert!(matches!(refusal(never), Some(Invalid::Argument(_))));
    assert_eq!(refusal(expiration(Some(Expiration::Date(-DAY_S)))), None);
    let noon = expiration(Some(Expiration::Date(DAY_S / 2)));
    assert!(matches!(refusal(noon), Some(Invalid::Argument(_))));
    let sizes = |greater, less| Rule {
        filter: Filter {
            greater,
            less,
            ..Filter::default()
        },
        ..rule("a")
    };
    assert_eq!(refusal(sizes(Some(1), Some(2))), None);
    assert!(matches!(
        refusal(sizes(Some(2), Some(2))),
        Some(Invalid::Request(_))
    ));
    assert!(matches!(
        refusal(sizes(None, Some(0))),
        Some(Invalid::Request(_))
    ));
    let abort = |days, rule: Rule| Rule {
        abort_after_days: Some(days),
        ..rule
    };
    assert_eq!(refusal(abort(1, rule("a"))), None);
    assert!(matches!(
        refusal(abort(0, rule("a"))),
        Some(Invalid::Argument(_))
    ));
    assert!(matches!(
        refusal(abort(1, sizes(Some(1), None))),
        Some(Invalid::Request(_))
    ));
}

#[test]
fn a_life_ends_at_the_first_midnight_after_its_days() {
    let noon = 10 * DAY_S + DAY_S / 2;
    assert_eq!(due(noon, 1), 12 * DAY_S);
    assert_eq!(
        due(10 * DAY_S, 1),
        12 * DAY_S,
        "a midnight counts as the day that it begins"
    );
    assert_eq!(due(-1, 1), DAY_S);
    assert_eq!(due(i64::MAX, u32::MAX), i64::MAX);
    let rules = Rules::new(vec![rule("a")]).expect("rules");
    assert!(!rules.is_expired(&known("k", noon, 0), 12 * DAY_S - 1));
    assert!(rules.is_expired(&known("k", noon, 0), 12 * DAY_S));
    assert!(
        !rules.is_expired(&known("k", i64::MAX, 0), i64::MAX - 1),
        "in the future"
    );
    let date = Rule {
        expiration: Some(Expiration::Date(20 * DAY_S)),
        ..rule("a")
    };
    let rules = Rules::new(vec![date]).expect("rules");
    assert!(!rules.is_expired(&known("k", noon, 0), 20 * DAY_S - 1));
    assert!(rules.is_expired(&known("k", 30 * DAY_S, 0), 31 * DAY_S));
}

#[test]
fn what_speaks_of_other_versions_ends_nothing() {
    let vacuous = Rule {
        expiration: Some(Expiration::Markers(true)),
        noncurrent: Some(Noncurrent {
            days: Some(1),
            newer: None,
        }),
        ..rule("a")
    };
    let rules = Rules::new(vec![vacuous]).expect("rules");
    assert!(!rules.is_expired(&known("k", 0, 0), i64::MAX));
    assert!(rules.places().is_empty());
    assert!(!rules.abort_uploads());
}

#[test]
fn uploads_end_by_their_own_days() {
    let abort = Rule {
        expiration: None,
        abort_after_days: Some(3),
        filter: Filter {
            prefix: Some("logs/".to_owned()),
            ..Filter::default()
        },
        ..rule("a")
    };
    let rules = Rules::new(vec![abort.clone()]).expect("rules");
    assert!(rules.abort_uploads());
    assert!(rules.is_abandoned("logs/a", 5, 4 * DAY_S));
    assert!(!rules.is_abandoned("logs/a", 5, 4 * DAY_S - 1));
    assert!(!rules.is_abandoned("other", 5, 9 * DAY_S));
    assert!(!rules.is_expired(&known("logs/a", 0, 0), i64::MAX));
    let off = Rule {
        enabled: false,
        ..abort
    };
    let rules = Rules::new(vec![off]).expect("rules");
    assert!(!rules.abort_uploads() && !rules.is_abandoned("logs/a", 0, i64::MAX));
}

#[test]
fn a_place_is_looked_at_once() {
    let at = |id: &str, prefix: Option<&str>| Rule {
        filter: Filter {
            prefix: prefix.map(str::to_owned),
            ..Filter::default()
        },
        ..rule(id)
    };
    let rules = |prefixes: &[Option<&str>]| {
        let each = prefixes.iter().enumerate();
        Rules::new(
            each.map(|(n, prefix)| at(&n.to_string(), *prefix))
                .collect(),
        )
        .expect("rules")
    };
    let some = rules(&[Some("b/"), Some("a/x"), Some("a/"), Some("b/"), Some("c")]);
    assert_eq!(some.places(), ["a/", "b/", "c"]);
    let all = rules(&[Some("b/"), None, Some("a/")]);
    assert_eq!(all.places(), [""]);
}

/// A rule by S3's words, with nothing in common with what is tested but the types.
fn naively_expired(rule: &Rule, known: &Known<'_>, now: i64) -> bool {
    if !rule.enabled {
        return false;
    }
    let filter = &rule.filter;
    if let Some(prefix) = &filter.prefix {
        let mut key = known.key.chars();
        if !prefix.chars().all(|wanted| key.next() == Some(wanted)) {
            return false;
        }
    }
    for (key, value) in filter.tags.pairs() {
        if !known.tags.iter().any(|(k, v)| k == key && v == value) {
            return false;
        }
    }
    if filter.greater.is_some_and(|bound| known.size <= bound)
        || filter.less.is_some_and(|bound| known.size >= bound)
    {
        return false;
    }
    match rule.expiration {
        Some(Expiration::Days(days)) => {
            // Second by second would take long: day by day, from a midnight before.
            let mut midnight = known.modified - known.modified.rem_euclid(DAY_S);
            while midnight <= known.modified + i64::from(days) * DAY_S {
                midnight += DAY_S;
            }
            now >= midnight
        }
        Some(Expiration::Date(second)) => now >= second,
        Some(Expiration::Markers(_)) | None => false,
    }
}

fn any_tags() -> impl Strategy<Value = Tags> {
    let pairs = prop::collection::btree_map("[ab]", "[xy]", 0..3);
    pairs.prop_map(|pairs| Tags::new(pairs.into_iter().collect()).expect("tags"))
}

prop_compose! {
    fn any_rule()(
        enabled in prop::bool::weighted(0.8),
        prefix in prop::option::of("[ab]{0,2}"),
        tags in any_tags(),
        greater in prop::option::of(0_u64..8),
        more in prop::option::of(1_u64..8),
        expiration in prop_oneof![
            (1_u32..5).prop_map(Expiration::Days),
            (0_i64..9).prop_map(|day| Expiration::Date(day * DAY_S)),
            any::<bool>().prop_map(Expiration::Markers),
        ],
        noncurrent in prop::option::of((1_u32..9, prop::option::of(1_u32..9))),
    ) -> Rule {
        let markers = matches!(expiration, Expiration::Markers(_));
        Rule {
            id: String::new(),
            enabled,
            form: Form::And,
            filter: Filter {
                prefix,
                tags: if markers { Tags::default() } else { tags },
                greater,
                less: more.map(|more| greater.unwrap_or(0) + more),
            },
            expiration: Some(expiration),
            abort_after_days: None,
            noncurrent: noncurrent.map(|(days, newer)| Noncurrent { days: Some(days), newer }),
        }
    }
}

prop_compose! {
    fn any_rules()(rules in prop::collection::vec(any_rule(), 1..5)) -> Rules {
        let named = rules.into_iter().enumerate().map(|(n, rule)| Rule { id: n.to_string(), ..rule });
        Rules::new(named.collect()).expect("rules")
    }
}

proptest! {
    #[test]
    fn rules_decide_as_s3_says(
        rules in any_rules(),
        key in "[ab]{1,4}",
        modified in 0_i64..6 * DAY_S,
        size in 0_u64..16,
        tags in any_tags(),
        now in 0_i64..12 * DAY_S,
    ) {
        let known = Known { key: &key, modified, size, tags: tags.pairs() };
        let wanted = rules.all().iter().any(|rule| naively_expired(rule, &known, now));
        prop_assert_eq!(rules.is_expired(&known, now), wanted);
        // What may end is looked at.
        let looked_at = rules.places().iter().filter(|place| key.starts_with(*place)).count();
        prop_assert!(looked_at <= 1);
        prop_assert!(!wanted || looked_at == 1);
    }

    #[test]
    fn rules_come_back(rules in any_rules()) {
        let bytes = rules.encode().expect("small");
        prop_assert_eq!(Rules::decode(&bytes), Ok(rules));
    }

    #[test]
    fn anything_else_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Rules::decode(&[&[1, 3], bytes.as_slice()].concat());
    }
}
