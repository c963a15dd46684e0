//! Lines as SVG, in the colours of the page around them.

use maud::{Markup, PreEscaped, html};

use super::Series;

/// The picture, and the room for the numbers at its sides.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 24.0;

/// Of a picture of its own: where its title ends, and a row of its legend.
const TITLE: f64 = 42.0;
const ROW: f64 = 17.0;

/// Colours, and how lines look.
pub(super) const STYLE: &str = include_str!("plot.css");

/// Colours that there are.
const COLOURS: usize = 8;

/// What the places on the x axis mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Across {
    /// Seconds.
    Time,
    /// The part of all that were faster, each step a tenth of what is left.
    Quantile,
    /// Sizes of something, which were these.
    Sizes(Vec<f64>),
}

impl Across {
    /// The sizes of these lines.
    pub(super) fn sizes(lines: &[Series]) -> Self {
        let mut sizes: Vec<f64> = lines.iter().flat_map(|line| &line.points).map(|(at, _)| *at).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        Self::Sizes(sizes)
    }

    /// The smallest size, where the largest is many times as much: then each step is a multiple.
    fn smallest(&self) -> Option<f64> {
        let Self::Sizes(sizes) = self else { return None };
        let (first, last) = (sizes.first()?, sizes.last()?);
        (*first > 0.0 && last / first > 12.0).then_some(*first)
    }

    fn place(&self, x: f64) -> f64 {
        match (self, self.smallest()) {
            (Self::Quantile, _) => -(1.0 - x).max(1e-4).log10(),
            // The first is somewhat away from the axis.
            (_, Some(smallest)) => (x / smallest).log10() + 0.1,
            _ => x,
        }
    }

    fn marks(&self, most: f64) -> Vec<(f64, String)> {
        match self {
            Self::Time => steps(most).into_iter().map(|at| (at, format!("{at} s"))).collect(),
            Self::Quantile => [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
                .map(|(quantile, name)| (self.place(quantile), name.to_owned()))
                .into(),
            Self::Sizes(sizes) => {
                let mut marks: Vec<(f64, String)> = Vec::new();
                for at in sizes {
                    let place = self.place(*at);
                    // Only as many as there is room for.
                    if marks.last().is_none_or(|(last, _)| place - last > most * 0.075) {
                        marks.push((place, number(*at)));
                    }
                }
                marks
            }
        }
    }
}

/// One plot with its legend, for a page.
pub(super) fn plot(title: &str, across: &Across, lines: &[&Series]) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) { (drawing(across, lines)) }
            ul {
                @for (number, line) in lines.iter().enumerate() {
                    li class=(colour(number)) { (line.name) }
                }
            }
        }
    }
}

/// The same as a picture of its own, which follows the colours of whoever looks at it.
pub(super) fn picture(title: &str, across: &Across, lines: &[&Series]) -> Markup {
    let (keys, rows) = legend(lines);
    let top = TITLE + f64::from(rows) * ROW;
    let height = top + HEIGHT + TOP;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(height) viewBox=(format!("0 0 {WIDTH} {height}")) role="img" {
            title { (title) }
            style { (PreEscaped(STYLE)) }
            rect.back width=(WIDTH) height=(height) rx="6" {}
            text.title x="12" y="20" { (title) }
            @for (number, (x, row)) in keys.iter().enumerate() {
                rect class=(format!("key {}", colour(number))) x=(x) y=(TITLE + f64::from(*row) * ROW - 9.0) width="10" height="10" rx="2" {}
                text x=(x + 15.0) y=(TITLE + f64::from(*row) * ROW) { (lines.get(number).map_or("", |line| &line.name)) }
            }
            g transform=(format!("translate(0 {top})")) { (drawing(across, lines)) }
        }
    }
}

/// Where each line's key is, from the left and by row; and how many rows there are.
fn legend(lines: &[&Series]) -> (Vec<(f64, u32)>, u32) {
    let (mut x, mut row, mut keys) = (12.0, 0, Vec::new());
    for line in lines {
        let letters = u32::try_from(line.name.chars().count()).unwrap_or(0);
        let width = f64::from(letters) * 6.2 + 32.0;
        if x + width > WIDTH && x > 12.0 {
            (x, row) = (12.0, row + 1);
        }
        keys.push((x, row));
        x += width;
    }
    (keys, row + 1)
}

fn drawing(across: &Across, lines: &[&Series]) -> Markup {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most_x = points().map(|(x, _)| across.place(*x)).fold(f64::EPSILON, f64::max);
    let steps_y = steps(points().map(|(_, y)| *y).fold(f64::EPSILON, f64::max));
    let most_y = steps_y.last().copied().unwrap_or(1.0);
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - BOTTOM - TOP);
    html! {
        @for at in &steps_y {
            line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(round(y(*at))) y2=(round(y(*at))) {}
            text.y x=(LEFT - 6.0) y=(round(y(*at) + 4.0)) { (number(*at)) }
        }
        @for (at, name) in across.marks(most_x).iter().filter(|(at, _)| *at <= most_x * 1.001) {
            text.x x=(round(x(*at))) y=(HEIGHT - 6.0) { (name) }
        }
        @for (number, line) in lines.iter().enumerate() {
            polyline class=(colour(number)) points=(path(line, |px, py| (x(across.place(px)), y(py)))) {}
            @if matches!(across, Across::Sizes(_)) {
                @for (px, py) in &line.points {
                    circle class=(colour(number)) cx=(round(x(across.place(*px)))) cy=(round(y(*py))) r="3" {}
                }
            }
        }
    }
}

fn colour(number: usize) -> String {
    format!("c{}", number % COLOURS)
}

fn path(line: &Series, place: impl Fn(f64, f64) -> (f64, f64)) -> String {
    let points = line.points.iter().map(|(x, y)| {
        let (x, y) = place(*x, *y);
        format!("{},{}", round(x), round(y))
    });
    points.collect::<Vec<_>>().join(" ")
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Round numbers from 0 to somewhat above `most`.
fn steps(most: f64) -> Vec<f64> {
    let magnitude = 10_f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * magnitude).into_iter().find(|step| step * 4.0 >= most);
    let step = step.unwrap_or(magnitude * 10.0);
    (0..=4_u32).map(|it| f64::from(it) * step).take_while(|at| *at < most + step).collect()
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{} k", round(value / 1_000.0)),
        _ if value >= 10.0 || value.fract().abs() < 1e-9 => format!("{value:.0}"),
        _ => format!("{}", (value * 1_000.0).round() / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(steps(7.3), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(steps(100.0), [0.0, 50.0, 100.0]);
        assert_eq!(number(12_500.0), "12.5 k");
        assert_eq!(number(0.05), "0.05");
    }

    #[test]
    fn a_plot_has_its_lines_and_no_odd_places() {
        let line = |points: Vec<(f64, f64)>| Series { plot: "a".to_owned(), name: "<b>".to_owned(), points };
        let (full, empty) = (line(vec![(0.0, 0.0), (1.0, 5.0)]), line(Vec::new()));
        for across in [Across::Time, Across::Quantile, Across::sizes(&[full.clone(), empty.clone()])] {
            let svg = plot("t", &across, &[&full, &empty]).into_string();
            assert_eq!(svg.matches("<polyline").count(), 2);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;b&gt;"), "{svg}");
        }
    }

    #[test]
    fn sizes_far_apart_are_told_apart() {
        let near = Across::Sizes(vec![1.0, 2.0, 8.0]);
        assert!((near.place(8.0) - 8.0).abs() < 1e-9);
        let far = Across::Sizes(vec![100.0, 1_000.0, 10_000.0]);
        let steps = [far.place(1_000.0) - far.place(100.0), far.place(10_000.0) - far.place(1_000.0)];
        assert!(steps.iter().all(|step| (step - 1.0).abs() < 1e-9), "{steps:?}");
        let marks: Vec<String> = far.marks(far.place(10_000.0)).into_iter().map(|(_, name)| name).collect();
        assert_eq!(marks, ["100", "1000", "10 k"]);
    }

    #[test]
    fn a_picture_needs_nothing_else_and_its_legend_fits() {
        let lines: Vec<Series> = (0..9)
            .map(|it| Series {
                plot: "p".to_owned(),
                name: format!("a rather long name {it}"),
                points: vec![(1.0, 2.0)],
            })
            .collect();
        let lines: Vec<&Series> = lines.iter().collect();
        let (keys, rows) = legend(&lines);
        assert!(rows > 1 && keys.iter().all(|(x, row)| *x < WIDTH - 100.0 && *row < rows));
        let svg = picture("t & u", &Across::Sizes(vec![1.0]), &lines).into_string();
        assert!(
            svg.starts_with("<svg xmlns=") && svg.contains("prefers-color-scheme: dark") && svg.contains("t &amp; u")
        );
        for foreign in ["href=", "src=", "@import", "url("] {
            assert!(!svg.contains(foreign), "{foreign}");
        }
    }
}
