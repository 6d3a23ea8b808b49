//! Bars as SVG, readable on a light and on a dark ground.

use crate::figures::Spread;

/// Bars that belong together, under one heading.
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// One bar with the range of its rounds.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) spread: Spread,
    /// Drawn so that it is found at once.
    pub(crate) ours: bool,
}

const WIDTH: f64 = 760.0;
/// Room for the bars' names, and behind the bars for their figures.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 16.0;
const STEP: f64 = 21.0;
const HEADING: f64 = 28.0;
const TOP: f64 = 44.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}\
.group{font-weight:600}.figure{fill:#59636e}.bar{fill:#8c959f}.ours{fill:#0969da}.range{stroke:#1f2328;stroke-width:1.2}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.figure{fill:#9198a1}.bar{fill:#656c76}.ours{fill:#4493f8}\
.range{stroke:#f0f6fc}}";

/// The picture. Each group has a scale of its own.
pub(crate) fn bars(title: &str, groups: &[Group]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for group in groups {
        y += HEADING;
        text(&mut body, "group", 10.0, y - 9.0, &group.title);
        let most = group.bars.iter().map(|bar| bar.spread.most);
        let scale = (WIDTH - LEFT - RIGHT) / most.fold(f64::MIN_POSITIVE, f64::max);
        for bar in &group.bars {
            draw(&mut body, bar, y, scale);
            y += STEP;
        }
    }
    let height = y + 12.0;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{0}</title>\n\
         <style>{STYLE}</style>\n",
        escaped(title)
    );
    text(&mut picture, "title", 10.0, 26.0, title);
    picture + &body + "</svg>\n"
}

fn draw(body: &mut String, bar: &Bar, y: f64, scale: f64) {
    let middle = y + BAR / 2.0;
    let class = if bar.ours { "ours" } else { "bar" };
    let width = (bar.spread.median * scale).max(1.0);
    let [least, most] = [bar.spread.least, bar.spread.most].map(|end| LEFT + end * scale);
    text(body, "name", 10.0, y + 12.5, &bar.name);
    line(
        body,
        format_args!(
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        ),
    );
    line(
        body,
        format_args!(
            "<line class=\"range\" x1=\"{least:.1}\" x2=\"{most:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>"
        ),
    );
    let at = most.max(LEFT + width) + 6.0;
    text(body, "figure", at, y + 12.5, &number(bar.spread.median));
}

fn text(body: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let text = escaped(text);
    line(
        body,
        format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"),
    );
}

fn line(body: &mut String, what: std::fmt::Arguments<'_>) {
    *body += &format!(
        "{what}
"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// With as many digits as a reader can use.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => grouped(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number with a comma after each third digit.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_a_reader_can_use() {
        let shown = [0.912, 12.34, 123.4, 9_999.4, 12_345.6, 1_234_567.0].map(number);
        assert_eq!(
            shown,
            ["0.91", "12.3", "123", "9999", "12,346", "1,234,567"]
        );
    }

    #[test]
    fn a_picture_holds_every_bar_and_no_markup_of_its_names() {
        let spread = Spread {
            median: 1.0,
            least: 0.5,
            most: 2.0,
        };
        let bar = |name: &str| Bar {
            name: name.to_owned(),
            spread,
            ours: name == "ours",
        };
        let group = Group {
            title: "a < b".to_owned(),
            bars: vec![bar("ours"), bar("x&y")],
        };
        let picture = bars("T", &[group]);
        assert_eq!(picture.matches("<rect").count(), 2);
        assert_eq!(picture.matches("class=\"ours\"").count(), 1);
        assert!(picture.contains("a &lt; b") && picture.contains("x&amp;y"));
    }
}
