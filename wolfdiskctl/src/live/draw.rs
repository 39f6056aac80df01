//! What happened, on a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::rates::{Cache, Operation, Rates};
use crate::output::bytes;

/// The lines above the operations.
const HEAD_LINES: u16 = 3;
/// Columns that a number needs.
const NUMBER: u16 = 11;

/// Draws it; what the terminal has no room for is left out, the least important first.
pub fn draw(frame: &mut Frame<'_>, rates: &Rates, troubles: &[String], color: bool) {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let wrong = match color {
        true => strong.fg(Color::Red),
        false => strong,
    };
    let operations = rates.by_operation.len().max(1) as u16 + 1;
    let caches = rates.caches.len() as u16 + 1;
    let [head, calls, cached, others] = Layout::vertical([
        Constraint::Length(HEAD_LINES),
        Constraint::Length(operations + 1),
        Constraint::Length(caches + 1),
        Constraint::Min(0),
    ])
    .areas(frame.area());

    frame.render_widget(
        Paragraph::new(head_lines(rates, troubles, strong, wrong)),
        head,
    );

    let columns = [
        Constraint::Min(12),
        number(),
        number(),
        number(),
        number(),
        number(),
    ];
    let table = Table::new(rates.by_operation.iter().map(operation), columns)
        .header(row(["OPERATION", "/S", "MEAN", "50 %", "99 %", "ALL"]).style(strong));
    frame.render_widget(table, calls);

    let columns = [Constraint::Min(12), number(), number(), number()];
    let table = Table::new(rates.caches.iter().map(cache), columns)
        .header(row(["CACHE", "HITS/S", "MISSES/S", "HIT"]).style(strong));
    frame.render_widget(table, cached);

    let columns = [Constraint::Min(30), number()];
    let rows = rates
        .others
        .iter()
        .map(|(name, rate)| row([name.clone(), signed(*rate)]));
    let table = Table::new(rows, columns).header(row(["COUNTER", "/S"]).style(strong));
    frame.render_widget(table, others);
}

fn head_lines<'a>(
    rates: &Rates,
    troubles: &'a [String],
    strong: Style,
    wrong: Style,
) -> Vec<Line<'a>> {
    let per_second = |count: f64| format!("{}/s", bytes(count.round() as u64));
    let totals = format!(
        "{} operations/s  read {}  written {}  {} changes/s",
        number_text(rates.operations),
        per_second(rates.read),
        per_second(rates.written),
        number_text(rates.changes),
    );
    let what = format!(
        "{} mounts here, {} sessions; each second, q ends",
        rates.mounts, rates.sessions
    );
    let trouble = troubles.first().map_or("", |text| text);
    vec![
        Line::from(Span::styled(totals, strong)),
        Line::from(what),
        Line::from(Span::styled(trouble, wrong)),
    ]
}

pub(super) fn number() -> Constraint {
    Constraint::Length(NUMBER)
}

/// A row whose numbers end below each other.
pub(super) fn row<const N: usize>(cells: [impl Into<String>; N]) -> Row<'static> {
    let mut is_name = true;
    Row::new(cells.map(|cell| {
        let line = Line::from(cell.into());
        match std::mem::take(&mut is_name) {
            true => line,
            false => line.right_aligned(),
        }
    }))
}

fn operation(operation: &Operation) -> Row<'static> {
    let [half, most, all] = operation.at_most_us.map(at_most);
    row([
        operation.name.clone(),
        number_text(operation.rate),
        time(operation.mean_us),
        half,
        most,
        all,
    ])
}

/// The longest time of a share of requests; none: longer than is told apart.
pub(super) fn at_most(bound_us: Option<u64>) -> String {
    bound_us.map_or_else(
        || "longer".to_owned(),
        |bound| format!("<= {}", time(bound as f64)),
    )
}

fn cache(cache: &Cache) -> Row<'static> {
    let asked = cache.hits + cache.misses;
    let share = match asked > 0.0 {
        true => format!("{:.0} %", 100.0 * cache.hits / asked),
        false => String::new(),
    };
    row([
        cache.name.to_owned(),
        number_text(cache.hits),
        number_text(cache.misses),
        share,
    ])
}

/// A time of so many µs in the unit that keeps it short.
pub(super) fn time(microseconds: f64) -> String {
    match microseconds {
        us if us < 1e3 => format!("{us:.0} us"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    }
}

/// A number without a fraction where it is large enough.
pub(super) fn number_text(number: f64) -> String {
    match number {
        // The sum of nothing is -0.
        0.0 => "0".to_owned(),
        number if number.abs() >= 10.0 => format!("{number:.0}"),
        number => format!("{number:.1}"),
    }
}

fn signed(number: f64) -> String {
    let sign = if number > 0.0 { "+" } else { "" };
    format!("{sign}{}", number_text(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(width: u16, height: u16, rates: &Rates, troubles: &[String]) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal
            .draw(|frame| draw(frame, rates, troubles, true))
            .expect("drawn");
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width.max(1)));
        let lines = cells.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn busy() -> Rates {
        Rates {
            mounts: 2,
            sessions: 3,
            operations: 1234.0,
            read: 5.0 * 1024.0 * 1024.0,
            changes: 0.5,
            by_operation: vec![Operation {
                name: "lookup".into(),
                rate: 1234.0,
                mean_us: 9.6,
                at_most_us: [Some(8), Some(2048), None],
            }],
            caches: vec![Cache {
                name: "names",
                hits: 30.0,
                misses: 10.0,
            }],
            others: vec![("meta.inodes".into(), -12.0)],
            ..Rates::default()
        }
    }

    #[test]
    fn all_that_happened_is_there() {
        let text = drawn(80, 24, &busy(), &["a mount is stopped".into()]);
        for part in [
            "1234 operations/s  read 5.0 MiB/s  written 0 B/s  0.5 changes/s",
            "2 mounts here, 3 sessions",
            "a mount is stopped",
            "lookup",
            "10 us",
            "<= 8 us",
            "<= 2.0 ms",
            "longer",
            "75 %",
            "meta.inodes",
            "-12",
        ] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
    }

    #[test]
    fn no_terminal_is_too_small() {
        for width in [0, 1, 2, 20, 300] {
            for height in [0, 1, 5, 100] {
                drawn(width, height, &busy(), &["trouble".into()]);
                drawn(width, height, &Rates::default(), &[]);
            }
        }
    }
}
