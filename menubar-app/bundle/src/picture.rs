//! Pixels from vector sources.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::shape::Shape;

/// Width of the edge around a shape, as a share of the picture's size: a pixel at 18.
const EDGE: f32 = 1.0 / 18.0;

/// Opacity of that edge.
const EDGE_ALPHA: f32 = 0.85;

/// Reason why there is no picture. None of it happens with the sources that are compiled in.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The vector source is wrong.
    #[error("could not read a vector source: {0}")]
    Source(#[from] resvg::usvg::Error),
    /// A picture without pixels.
    #[error("a picture of {0} pixels cannot be drawn")]
    Size(u32),
    /// The icon could not be put together.
    #[error("could not write the icon: {0}")]
    Icon(#[from] std::io::Error),
}

/// A square picture: red, green, blue and alpha of each pixel, from the upper left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    size: u32,
    rgba: Vec<u8>,
}

impl Picture {
    /// A shape in black on nothing, as macOS wants a template image: it colours it itself.
    ///
    /// # Errors
    ///
    /// No pixels were asked for.
    pub fn template(shape: Shape, size: u32) -> Result<Self, PictureError> {
        draw_svg(&shape.svg(), size)
    }

    /// A shape in white with a dark edge, readable on light and on dark, for hosts that show
    /// pixels as they are.
    ///
    /// # Errors
    ///
    /// No pixels were asked for.
    pub fn on_any_ground(shape: Shape, size: u32) -> Result<Self, PictureError> {
        Ok(Self::template(shape, size)?.with_edge())
    }

    /// The icon of the application.
    ///
    /// # Errors
    ///
    /// No pixels were asked for.
    pub fn app(size: u32) -> Result<Self, PictureError> {
        draw_svg(include_str!("../icons/app.svg"), size)
    }

    /// Width and height, in pixels.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Its pixels.
    #[must_use]
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// Its pixels.
    #[must_use]
    pub fn into_rgba(self) -> Vec<u8> {
        self.rgba
    }

    /// As a PNG file.
    ///
    /// # Errors
    ///
    /// The encoder failed, which it has no reason to.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let image = icns::Image::from_data(
            icns::PixelFormat::RGBA,
            self.size,
            self.size,
            self.rgba.clone(),
        )?;
        let mut bytes = Vec::new();
        image.write_png(&mut bytes)?;
        Ok(bytes)
    }

    /// White where it was black, and a dark edge around that.
    fn with_edge(mut self) -> Self {
        let size = usize::try_from(self.size).unwrap_or_default();
        let alpha: Vec<f32> =
            self.rgba.chunks_exact(4).map(|pixel| f32::from(pixel[3]) / 255.0).collect();
        let near = neighbour_offsets(EDGE * self.size as f32);
        let at = |x: isize, y: isize| {
            let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
            (x < size && y < size).then(|| alpha[y * size + x])
        };
        for (index, pixel) in self.rgba.chunks_exact_mut(4).enumerate() {
            let (x, y) = ((index % size).cast_signed(), (index / size).cast_signed());
            let around = near
                .iter()
                .filter_map(|&(dx, dy, weight)| Some(at(x + dx, y + dy)? * weight))
                .fold(0.0, f32::max);
            let body = alpha[index];
            // The body over its edge: what is behind the edge shines through it alone.
            let all = body + around * EDGE_ALPHA * (1.0 - body);
            let light = if all > 0.0 { body / all } else { 0.0 };
            let [red, green, blue, opacity] = pixel else { continue };
            (*red, *green, *blue) = (alpha_byte(light), alpha_byte(light), alpha_byte(light));
            *opacity = alpha_byte(all);
        }
        self
    }
}

/// Neighbours within a distance, and how much each counts: less the farther it is.
fn neighbour_offsets(distance: f32) -> Vec<(isize, isize, f32)> {
    let reach = 1 + distance.ceil() as isize;
    let all = (-reach..=reach).flat_map(|x| (-reach..=reach).map(move |y| (x, y)));
    all.filter_map(|(x, y)| {
        let weight = (distance + 1.0 - (x as f32).hypot(y as f32)).clamp(0.0, 1.0);
        (weight > 0.0).then_some((x, y, weight))
    })
    .collect()
}

fn alpha_byte(share: f32) -> u8 {
    (share * 255.0).round() as u8
}

fn draw_svg(svg: &str, size: u32) -> Result<Picture, PictureError> {
    let tree = Tree::from_str(svg, &Options::default())?;
    let mut pixels = Pixmap::new(size, size).ok_or(PictureError::Size(size))?;
    let scale = size as f32 / tree.size().width();
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let rgba = pixels.pixels().iter().flat_map(|pixel| {
        let color = pixel.demultiply();
        [color.red(), color.green(), color.blue(), color.alpha()]
    });
    Ok(Picture { size, rgba: rgba.collect() })
}

#[cfg(test)]
mod tests {
    use super::{Picture, PictureError};
    use crate::shape::Shape;

    #[test]
    fn no_two_shapes_look_alike_even_without_colour() {
        let shapes: Vec<_> = Shape::all().collect();
        let pictures: Vec<_> =
            shapes.iter().map(|&shape| Picture::template(shape, 18).unwrap()).collect();
        for (i, one) in pictures.iter().enumerate() {
            for (j, other) in pictures.iter().enumerate().skip(i + 1) {
                let differs = one
                    .rgba
                    .chunks_exact(4)
                    .zip(other.rgba.chunks_exact(4))
                    .filter(|(one, other)| one[3].abs_diff(other[3]) > 128)
                    .count();
                assert!(differs >= 3, "{:?} and {:?} differ in {differs}", shapes[i], shapes[j]);
            }
        }
    }

    #[test]
    fn a_template_is_black_and_keeps_off_the_corners() {
        for shape in Shape::all() {
            let picture = Picture::template(shape, 36).unwrap();
            let visible = picture.rgba.chunks_exact(4).filter(|pixel| pixel[3] > 0);
            assert!(visible.clone().count() > 100, "{shape:?}");
            assert!(visible.clone().all(|pixel| pixel[..3] == [0, 0, 0]), "{shape:?}");
            assert_eq!(picture.rgba[3], 0, "{shape:?}");
        }
    }

    #[test]
    fn on_any_ground_there_is_something_light_and_something_dark() {
        for shape in Shape::all() {
            let picture = Picture::on_any_ground(shape, 22).unwrap();
            let strong = |pixel: &&[u8]| pixel[3] > 100;
            let pixels = || picture.rgba.chunks_exact(4).filter(strong);
            assert!(pixels().filter(|pixel| pixel[0] > 200).count() > 20, "{shape:?}");
            assert!(pixels().filter(|pixel| pixel[0] < 60).count() > 20, "{shape:?}");
        }
    }

    #[test]
    fn a_picture_without_pixels_is_an_error_and_a_file_begins_as_png_does() {
        assert!(matches!(Picture::template(Shape::Idle, 0), Err(PictureError::Size(0))));
        let png = Picture::template(Shape::Idle, 18).unwrap().png().unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n"));
    }
}
