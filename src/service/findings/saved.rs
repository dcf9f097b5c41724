//! The filters that an account has saved.

use kastrel_actors::model::{Principal, RequestContext, SavedFilter};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::service::CommandError;

use super::fields::wrong;
use super::query::FindingFilter;
use super::service::FindingService;

/// The most filters of an account.
pub const MOST_SAVED_FILTERS: usize = 50;
/// The longest name of a filter in characters.
pub const MOST_FILTER_NAME_CHARS: usize = 60;

impl FindingService {
    /// Returns the saved filters of the principal, by name. The clients of a server without
    /// accounts share theirs.
    ///
    /// # Errors
    /// The principal is a visitor of a public link, or a failure of the store.
    pub async fn saved_filters(&self, context: &RequestContext) -> Result<Vec<SavedFilter>, CommandError> {
        Ok(self.store.saved_filters(&owner(context)?).await?)
    }

    /// Saves a filter in place of an earlier one with its name.
    ///
    /// # Errors
    /// A field is invalid (`name`: its length, or the principal has [`MOST_SAVED_FILTERS`] others;
    /// `filter`), the principal is a visitor of a public link, or a failure of the store.
    pub async fn save_filter(&self, context: &RequestContext, name: &str, filter: &str) -> Result<(), CommandError> {
        let owner = owner(context)?;
        let name = one_line(name);
        if !(1..=MOST_FILTER_NAME_CHARS).contains(&name.chars().count()) {
            return Err(wrong("name", format!("expected 1 to {MOST_FILTER_NAME_CHARS} characters")));
        }
        let filter = filter.trim();
        filter.parse::<FindingFilter>().map_err(|error| wrong("filter", error.to_string()))?;
        let saved = SavedFilter { name, filter: filter.to_owned() };
        if self.store.save_filter(&owner, saved, MOST_SAVED_FILTERS).await? {
            return Ok(());
        }
        let message = format!("there are {MOST_SAVED_FILTERS} saved filters, the most that are possible");
        Err(wrong("name", message))
    }

    /// Deletes a saved filter. Returns `false` if no filter has this name.
    ///
    /// # Errors
    /// The principal is a visitor of a public link, or a failure of the store.
    pub async fn delete_filter(&self, context: &RequestContext, name: &str) -> Result<bool, CommandError> {
        Ok(self.store.delete_filter(&owner(context)?, &one_line(name)).await?)
    }
}

/// Returns whose filters they are.
fn owner(context: &RequestContext) -> Result<String, Denial> {
    match context.principal {
        Principal::Link(_) => Err(Denial::NotVisible),
        _ => Ok(context.principal.to_string()),
    }
}

/// Returns a name on one line without control characters. It is not cut.
fn one_line(name: &str) -> String {
    kastrel_findings::text::clean(name, usize::MAX)
}
