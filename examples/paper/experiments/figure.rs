//! A figure as SVG: what we measured as a line, what the paper did as points.

use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color, IntoDrawingArea, LineSeries, PathElement, RED, SVGBackend,
    SeriesLabelPosition, WHITE,
};

/// The width and height, in pixels.
const SIZE: (u32, u32) = (640, 400);

/// What is drawn.
pub struct Figure {
    /// What stands on the axes.
    pub x: &'static str,
    pub y: &'static str,
    pub ours: Vec<(f64, f64)>,
    pub papers: Vec<(f64, f64)>,
    /// What the points are.
    pub papers_name: &'static str,
}

impl Figure {
    /// The text of a file.
    pub fn svg(&self) -> anyhow::Result<String> {
        let all = || self.ours.iter().chain(&self.papers);
        let right = all().map(|point| point.0).fold(f64::MIN, f64::max);
        let left = all().map(|point| point.0).fold(right, f64::min);
        // A little room above, also where all is zero.
        let top = all().map(|point| point.1).fold(0.001, f64::max) * 1.1;
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            root.fill(&WHITE)?;
            let mut builder = ChartBuilder::on(&root);
            builder.margin(12).margin_right(28).x_label_area_size(40).y_label_area_size(50);
            let mut chart = builder.build_cartesian_2d(left..right, 0.0..top)?;
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(self.x).y_desc(self.y).disable_x_mesh().max_light_lines(0).draw()?;
            chart
                .draw_series(LineSeries::new(self.ours.iter().copied(), &RED))?
                .label("this ring")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], RED));
            chart
                .draw_series(self.papers.iter().map(|&point| Circle::new(point, 3, BLACK.filled())))?
                .label(self.papers_name)
                .legend(|(x, y)| Circle::new((x + 8, y), 3, BLACK.filled()));
            let mut names = chart.configure_series_labels();
            names.position(self.low_end()).background_style(WHITE).border_style(BLACK).draw()?;
            root.present()?;
        }
        Ok(text)
    }

    /// Above which end of the points there is room for their names.
    fn low_end(&self) -> SeriesLabelPosition {
        let height = |point: Option<&(f64, f64)>| point.map_or(0.0, |point| point.1);
        if height(self.papers.last()) < height(self.papers.first()) {
            SeriesLabelPosition::UpperRight
        } else {
            SeriesLabelPosition::UpperLeft
        }
    }
}
