//! A list that mostly has one element.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// A list that mostly has one element, which stands in place of a pointer to it then: of lists
/// as there are in each of a hundred thousand rules, the allocations are most of what they take. Written
/// and compared as the slice that it is.
#[derive(Clone)]
pub struct Few<T>(Form<T>);

#[derive(Clone)]
enum Form<T> {
    One(T),
    /// None, or two and more.
    Other(Box<[T]>),
}

impl<T> Few<T> {
    /// All of it.
    pub fn as_slice(&self) -> &[T] {
        self
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Form::One(one) => std::slice::from_ref(one),
            Form::Other(all) => all,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Form::One(one) => std::slice::from_mut(one),
            Form::Other(all) => all,
        }
    }
}

impl<T> Default for Few<T> {
    /// None.
    fn default() -> Self {
        Self(Form::Other(Box::default()))
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut list: Vec<T>) -> Self {
        match (list.pop(), list.is_empty()) {
            (Some(one), true) => Self(Form::One(one)),
            (last, _) => {
                list.extend(last);
                Self(Form::Other(list.into_boxed_slice()))
            }
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        let mut iter = iter.into_iter();
        match (iter.next(), iter.next()) {
            (None, _) => Self::default(),
            (Some(one), None) => Self(Form::One(one)),
            (Some(first), Some(second)) => {
                Self(Form::Other([first, second].into_iter().chain(iter).collect()))
            }
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: PartialEq, const N: usize> PartialEq<[T; N]> for Few<T> {
    fn eq(&self, other: &[T; N]) -> bool {
        **self == *other
    }
}

impl<T: Hash> Hash for Few<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_list_that_it_was_made_of() {
        for list in [vec![], vec![7], vec![7, 8], vec![1, 2, 3, 4]] {
            let few = Few::from(list.clone());
            assert_eq!(*few, *list);
            assert_eq!(few, list.iter().copied().collect::<Few<i32>>());
            assert_eq!(few.is_empty(), list.is_empty());
            let json = serde_json::to_string(&few).expect("serialises");
            assert_eq!(json, serde_json::to_string(&list).expect("serialises"));
            assert_eq!(serde_json::from_str::<Few<i32>>(&json).expect("reads it"), few);
            let bytes = postcard::to_stdvec(&few).expect("serialises");
            assert_eq!(bytes, postcard::to_stdvec(&list).expect("serialises"));
        }
        assert_ne!(Few::from(vec![1]), Few::from(vec![2]));
    }

    #[test]
    fn one_small_element_takes_no_more_than_a_pointer_with_a_length() {
        assert_eq!(size_of::<Few<u32>>(), 16);
        assert_eq!(size_of::<Few<(u16, u16)>>(), 16);
    }
}
