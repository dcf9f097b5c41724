//! The reader of an error page.

use crate::web::sender::Sender;
use crate::web::viewer::Theme;

/// Who reads an error page: the frame shows only what the reader may open.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) theme: Theme,
    /// The sender of the request; `None` if the store could not say who it is.
    pub(crate) sender: Option<&'a Sender>,
    pub(crate) has_accounts: bool,
}
