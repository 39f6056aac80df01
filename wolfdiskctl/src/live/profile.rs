//! What a mount spent its time on: a row for each operation, the one that took most of the time first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Table};

use super::draw::{at_most, number, number_text, row as line, time};
use super::rates::{Operation, Rates};

/// The lines above the operations.
const HEAD_LINES: u16 = 3;
/// What the cells of a row are.
pub const HEAD: [&str; 7] = ["operation", "/s", "mean", "p50", "p99", "slowest", "share"];

/// The cells of an operation; `busy_us` is what all operations took together, by the second.
pub fn row(operation: &Operation, busy_us: f64) -> [String; 7] {
    let [half, most, all] = operation.at_most_us.map(at_most);
    [
        operation.name.clone(),
        number_text(operation.rate),
        time(operation.mean_us),
        half,
        most,
        all,
        format!("{:.1} %", 100.0 * operation.busy_us() / busy_us.max(1e-9)),
    ]
}

/// Draws it; `what` is whose requests these are.
pub fn draw(frame: &mut Frame<'_>, what: &str, rates: &Rates, troubles: &[String], color: bool) {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let wrong = match color {
        true => strong.fg(Color::Red),
        false => strong,
    };
    let [head, calls] =
        Layout::vertical([Constraint::Length(HEAD_LINES), Constraint::Min(0)]).areas(frame.area());
    let busy_us = rates.busy_us();
    let totals = format!(
        "{} operations/s, {} under way on average; q ends",
        number_text(rates.operations),
        number_text(busy_us / 1e6),
    );
    let trouble = troubles.first().map_or("", |text| text);
    let lines = vec![
        Line::from(Span::styled(what, strong)),
        Line::from(totals),
        Line::from(Span::styled(trouble, wrong)),
    ];
    frame.render_widget(Paragraph::new(lines), head);
    let operations = rates.by_time();
    let rows = operations
        .iter()
        .map(|operation| line(row(operation, busy_us)));
    let mut columns = [number(); HEAD.len()];
    columns[0] = Constraint::Min(12);
    let table = Table::new(rows, columns).header(line(HEAD.map(str::to_uppercase)).style(strong));
    frame.render_widget(table, calls);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn busy() -> Rates {
        let operation = |name: &str, rate, mean_us, slowest| Operation {
            name: name.to_owned(),
            rate,
            mean_us,
            at_most_us: [Some(8), Some(64), slowest],
        };
        Rates {
            operations: 1010.0,
            by_operation: vec![
                operation("lookup", 1000.0, 10.0, Some(64)),
                operation("fsync", 10.0, 3000.0, None),
            ],
            ..Rates::default()
        }
    }

    fn drawn(width: u16, height: u16, rates: &Rates) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal
            .draw(|frame| draw(frame, "/mnt/x", rates, &["trouble".into()], true))
            .expect("drawn");
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width.max(1)));
        let lines = cells.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_took_most_of_the_time_comes_first() {
        let text = drawn(100, 10, &busy());
        let at = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part:?} is missing:\n{text}"))
        };
        assert!(at("fsync") < at("lookup"), "{text}");
        assert!(at("75.0 %") < at("25.0 %"), "{text}");
        for part in [
            "/mnt/x",
            "1010 operations/s",
            "trouble",
            "longer",
            "<= 8 us",
            "3.0 ms",
        ] {
            at(part);
        }
    }

    #[test]
    fn nothing_is_not_less_than_nothing() {
        let nothing = Rates {
            operations: std::iter::empty::<f64>().sum(),
            ..Rates::default()
        };
        let text = drawn(100, 10, &nothing);
        assert!(text.contains("0 operations/s, 0 under way"), "{text}");
        assert!(!text.contains("-0"), "{text}");
    }

    #[test]
    fn no_terminal_is_too_small() {
        for width in [0, 1, 20, 300] {
            for height in [0, 1, 5, 100] {
                drawn(width, height, &busy());
                drawn(width, height, &Rates::default());
            }
        }
    }
}
