//! Which tenants are meant, where policies differ between them.

use std::sync::Arc;

use patrol_policy::types::Id;

/// A set of tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tenants {
    /// All that there are, and will be.
    #[default]
    All,
    /// One.
    One(Id),
    /// These, sorted. Made by [`Tenants::only`].
    Only(Arc<[Id]>),
    /// All but these, sorted. Made by [`Tenants::all_but`].
    AllBut(Arc<[Id]>),
}

impl Tenants {
    /// These and no others.
    #[must_use]
    pub fn only(tenants: impl IntoIterator<Item = Id>) -> Self {
        Self::Only(sorted(tenants))
    }

    /// All others.
    #[must_use]
    pub fn all_but(tenants: impl IntoIterator<Item = Id>) -> Self {
        let tenants = sorted(tenants);
        if tenants.is_empty() {
            Self::All
        } else {
            Self::AllBut(tenants)
        }
    }

    /// Whether this tenant is meant.
    #[must_use]
    pub fn contains(&self, tenant: Id) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => *one == tenant,
            Self::Only(these) => these.binary_search(&tenant).is_ok(),
            Self::AllBut(those) => those.binary_search(&tenant).is_err(),
        }
    }

    /// The tenants that are listed, and whether it is they who are meant or all others. None: everybody is.
    #[must_use]
    pub fn listed(&self) -> Option<(&[Id], bool)> {
        match self {
            Self::All => None,
            Self::One(one) => Some((std::slice::from_ref(one), true)),
            Self::Only(these) => Some((these, true)),
            Self::AllBut(those) => Some((those, false)),
        }
    }
}

fn sorted(tenants: impl IntoIterator<Item = Id>) -> Arc<[Id]> {
    let mut tenants: Vec<_> = tenants.into_iter().collect();
    tenants.sort_unstable();
    tenants.dedup();
    tenants.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_meant_or_is_not() {
        let [a, b, c] = [1, 2, 3].map(|lo| Id { hi: 0, lo });
        let meant = |tenants: &Tenants| [a, b, c].map(|tenant| tenants.contains(tenant));
        assert_eq!(meant(&Tenants::All), [true; 3]);
        assert_eq!(meant(&Tenants::One(b)), [false, true, false]);
        assert_eq!(meant(&Tenants::only([c, a, c])), [true, false, true]);
        assert_eq!(meant(&Tenants::all_but([c, a])), [false, true, false]);
        assert_eq!(meant(&Tenants::only([])), [false; 3]);
        assert_eq!(Tenants::all_but([]), Tenants::All);
    }
}
