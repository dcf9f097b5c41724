//! A QR code as the path of an SVG drawing, which a page shows without an image.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The modules of the border, which readers need.
const BORDER: usize = 4;

/// A QR code: a square of `size` units, in which `path` has the dark modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QrImage {
    pub(super) size: usize,
    pub(super) path: String,
}

impl QrImage {
    /// Draws a text; `None` if it is too long.
    pub(super) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            // One rectangle for each run of dark modules.
            for run in row.chunk_by(|one, other| one == other) {
                if run.first() == Some(&Color::Dark) {
                    let (left, top, length) = (x + BORDER, y + BORDER, run.len());
                    let _ = write!(path, "M{left} {top}h{length}v1h-{length}z");
                }
                x += run.len();
            }
        }
        Some(Self { size: width + 2 * BORDER, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether each unit of the square is dark, from the path alone.
    fn drawn(image: &QrImage) -> Vec<Vec<bool>> {
        let mut dark = vec![vec![false; image.size]; image.size];
        for part in image.path.split('M').skip(1) {
            let (at, rest) = part.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let (length, end) = rest.split_once('v').unwrap();
            assert_eq!(end, format!("1h-{length}z"));
            let (x, y, length): (usize, usize, usize) =
                (x.parse().unwrap(), y.parse().unwrap(), length.parse().unwrap());
            dark[y][x..x + length].fill(true);
        }
        dark
    }

    #[test]
    fn drawing_has_the_modules_of_the_code_in_a_border() {
        let text = "otpauth://totp/Kastrel:ana?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Kastrel";
        let image = QrImage::of(text).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        assert_eq!(image.size, code.width() + 8);
        let drawn = drawn(&image);
        for (y, row) in drawn.iter().enumerate() {
            for (x, is_dark) in row.iter().enumerate() {
                let inside = (4..image.size - 4).contains(&x) && (4..image.size - 4).contains(&y);
                let expected = inside && code[(x - 4, y - 4)] == Color::Dark;
                assert_eq!(*is_dark, expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn text_that_is_too_long_has_no_code() {
        assert_eq!(QrImage::of(&"x".repeat(3000)), None);
    }
}
