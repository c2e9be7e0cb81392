//! The bundle's icon in Apple's format: the same picture in every size that macOS asks for.

use icns::{IconFamily, IconType, Image, PixelFormat};

use crate::picture::{Picture, PictureError};

/// Sizes from a list in the Finder to the Dock on a fine screen.
const TYPES: [IconType; 10] = [
    IconType::RGBA32_16x16,
    IconType::RGBA32_16x16_2x,
    IconType::RGBA32_32x32,
    IconType::RGBA32_32x32_2x,
    IconType::RGBA32_128x128,
    IconType::RGBA32_128x128_2x,
    IconType::RGBA32_256x256,
    IconType::RGBA32_256x256_2x,
    IconType::RGBA32_512x512,
    IconType::RGBA32_512x512_2x,
];

/// The contents of `AppIcon.icns`.
///
/// # Errors
///
/// The vector source is not what the renderer takes, which a test excludes.
pub fn app_icon() -> Result<Vec<u8>, PictureError> {
    let mut family = IconFamily::new();
    for kind in TYPES {
        let size = kind.pixel_width();
        let picture = Picture::app(size)?;
        let image = Image::from_data(PixelFormat::RGBA, size, size, picture.into_rgba())?;
        family.add_icon_with_type(&image, kind)?;
    }
    let mut bytes = Vec::new();
    family.write(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{TYPES, app_icon};

    #[test]
    fn the_icon_has_every_size_and_corners_that_are_empty() {
        let family = icns::IconFamily::read(app_icon().unwrap().as_slice()).unwrap();
        for kind in TYPES {
            let image = family.get_icon_with_type(kind).unwrap();
            assert_eq!(image.width(), kind.pixel_width());
            let pixels = image.convert_to(icns::PixelFormat::RGBA).into_data();
            assert_eq!(pixels[3], 0, "{kind:?} has a corner");
            let middle = pixels.len() / 2 + usize::try_from(image.width() * 2).unwrap();
            assert_eq!(pixels[middle + 3], 255, "{kind:?} is empty");
        }
    }
}
