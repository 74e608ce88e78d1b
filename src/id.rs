//! The circle of 2^160 identifiers, on which nodes and keys have their places.

use std::cmp::Ordering;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::{Digest, Sha1};

/// The number of bits of an identifier: *m* in the Chord paper.
pub const ID_BITS: u32 = 160;

const ID_BYTES: usize = 20;

/// A point on the circle: a node's identifier or a key.
///
/// The bytes are big-endian; the order is the numeric one.
/// Identifiers are SHA-1 hashes, as in Stoica et al., section IV-B.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Id([u8; ID_BYTES]);

impl Id {
    /// The identifier with these bytes, the most significant first.
    pub const fn new(bytes: [u8; ID_BYTES]) -> Id {
        Id(bytes)
    }

    /// The SHA-1 hash of `bytes`.
    pub fn hash(bytes: impl AsRef<[u8]>) -> Id {
        Id(Sha1::digest(bytes).into())
    }

    /// The bytes, the most significant first.
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }

    /// Whether `self` lies strictly inside the clockwise arc from `from` to `to`.
    ///
    /// The arc from a point to itself is the whole circle without that point (Zave 2017).
    pub fn between(self, from: Id, to: Id) -> bool {
        if from < to { from < self && self < to } else { from < self || self < to }
    }

    /// Whether `self` lies in the clockwise arc (`from`, `to`].
    ///
    /// The arc from a point to itself is the whole circle.
    pub fn in_arc(self, from: Id, to: Id) -> bool {
        self == to || self.between(from, to)
    }

    /// The clockwise distance from `self` to `to`, modulo 2^160.
    pub fn distance_to(self, to: Id) -> Id {
        let mut distance = [0; ID_BYTES];
        let mut borrow = false;
        for i in (0..ID_BYTES).rev() {
            let (byte, under) = to.0[i].overflowing_sub(self.0[i]);
            let (byte, under_again) = byte.overflowing_sub(u8::from(borrow));
            distance[i] = byte;
            borrow = under || under_again;
        }
        Id(distance)
    }

    /// `self` + 2^`exponent` modulo 2^160: where finger `exponent` starts (the paper counts from 1).
    pub fn plus_power_of_two(self, exponent: u32) -> Id {
        assert!(exponent < ID_BITS, "an exponent is below the number of bits");
        let mut sum = self.0;
        let mut i = ID_BYTES - 1 - (exponent / 8) as usize;
        let mut carry = 1 << (exponent % 8);
        loop {
            let (byte, over) = sum[i].overflowing_add(carry);
            sum[i] = byte;
            if !over || i == 0 {
                return Id(sum);
            }
            carry = 1;
            i -= 1;
        }
    }

    /// The number of leading bits that are zero, 0 to 160.
    pub fn leading_zeros(self) -> u32 {
        let mut zeros = 0;
        for byte in self.0 {
            zeros += byte.leading_zeros();
            if byte != 0 {
                break;
            }
        }
        zeros
    }

    /// The first eight hexadecimal digits, for people.
    pub fn short(self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Id) -> Ordering {
        // Every table is sorted by ids: as numbers, they are compared without a call of `memcmp`.
        let number = |id: &Id| {
            let [high @ .., a, b, c, d] = id.0;
            (u128::from_be_bytes(high), u32::from_be_bytes([a, b, c, d]))
        };
        number(self).cmp(&number(other))
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Id) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// Why a text is not an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 40 hexadecimal digits")
    }
}

impl std::error::Error for NotAnId {}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Id, NotAnId> {
        let prefix = IdPrefix::from_str(text).map_err(|_| NotAnId)?;
        if prefix.digits == 2 * ID_BYTES { Ok(prefix.start) } else { Err(NotAnId) }
    }
}

/// The first digits of an [`Id`], with which a person names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Id, usize)", into = "(Id, usize)")]
pub struct IdPrefix {
    start: Id,
    digits: usize,
}

impl IdPrefix {
    /// The smallest identifier with this prefix.
    pub fn start(&self) -> Id {
        self.start
    }

    /// How many hexadecimal digits are given, 1 to 40.
    pub fn digits(&self) -> usize {
        self.digits
    }

    /// Whether `id` begins with this prefix.
    pub fn matches(&self, id: Id) -> bool {
        (0..self.digits).all(|i| digit(self.start, i) == digit(id, i))
    }
}

impl From<Id> for IdPrefix {
    /// All of its digits.
    fn from(id: Id) -> IdPrefix {
        IdPrefix { start: id, digits: 2 * ID_BYTES }
    }
}

fn digit(id: Id, i: usize) -> u8 {
    if i.is_multiple_of(2) { id.0[i / 2] >> 4 } else { id.0[i / 2] & 0x0f }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start.to_string()[..self.digits])
    }
}

/// Why a text is not an [`IdPrefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPrefix;

impl fmt::Display for NotAPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the beginning of an id has 1 to 40 hexadecimal digits")
    }
}

impl std::error::Error for NotAPrefix {}

/// What a peer sends is a prefix only if an id can begin so.
impl TryFrom<(Id, usize)> for IdPrefix {
    type Error = NotAPrefix;

    fn try_from((start, digits): (Id, usize)) -> Result<IdPrefix, NotAPrefix> {
        let follows = |i| digit(start, i) == 0;
        if digits == 0 || 2 * ID_BYTES < digits || !(digits..2 * ID_BYTES).all(follows) {
            return Err(NotAPrefix);
        }
        Ok(IdPrefix { start, digits })
    }
}

impl From<IdPrefix> for (Id, usize) {
    fn from(prefix: IdPrefix) -> (Id, usize) {
        (prefix.start, prefix.digits)
    }
}

impl FromStr for IdPrefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<IdPrefix, NotAPrefix> {
        let digits = text.len();
        if digits == 0 || digits > 2 * ID_BYTES {
            return Err(NotAPrefix);
        }
        let mut bytes = [0; ID_BYTES];
        for (i, char) in text.chars().enumerate() {
            let value = char.to_digit(16).ok_or(NotAPrefix)? as u8;
            bytes[i / 2] |= if i.is_multiple_of(2) { value << 4 } else { value };
        }
        Ok(IdPrefix { start: Id(bytes), digits })
    }
}

/// Identifier and address of a node.
///
/// The identifier is the SHA-1 hash of the advertised `ip:port`, so it is not sent:
/// whoever receives a handle computes it, and a handle whose parts disagree cannot exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHandle {
    id: Id,
    addr: SocketAddr,
}

impl NodeHandle {
    /// The handle of the node that advertises `addr`.
    pub fn new(addr: SocketAddr) -> NodeHandle {
        // Flow label and scope of an IPv6 address mean something on one host only.
        let addr = SocketAddr::new(addr.ip(), addr.port());
        NodeHandle { id: Id::hash(addr.to_string()), addr }
    }

    /// Where the node stands on the circle.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Where the node is reached.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl fmt::Display for NodeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.id.short(), self.addr)
    }
}

impl fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id.short(), self.addr)
    }
}

impl Serialize for NodeHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.addr.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NodeHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NodeHandle, D::Error> {
        SocketAddr::deserialize(deserializer).map(NodeHandle::new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruint::Uint;

    use super::*;

    type Number = Uint<160, 3>;

    fn number(id: Id) -> Number {
        Number::from_be_bytes(id.0)
    }

    fn any_id() -> impl Strategy<Value = Id> {
        // Ids with long runs of equal bytes, so that carries and borrows run far.
        prop_oneof![
            any::<[u8; 20]>().prop_map(Id),
            (any::<u8>(), 0..20usize, any::<u8>()).prop_map(|(fill, at, byte)| {
                let mut bytes = [if fill < 128 { 0 } else { 255 }; 20];
                bytes[at] = byte;
                Id(bytes)
            }),
        ]
    }

    proptest! {
        #[test]
        fn distance_is_subtraction_modulo_the_circle(a in any_id(), b in any_id()) {
            prop_assert_eq!(number(a.distance_to(b)), number(b).wrapping_sub(number(a)));
        }

        #[test]
        fn a_finger_starts_a_power_of_two_further(a in any_id(), k in 0..ID_BITS) {
            let power = Number::from(1) << (k as usize);
            prop_assert_eq!(number(a.plus_power_of_two(k)), number(a).wrapping_add(power));
        }

        #[test]
        fn order_and_leading_zeros_are_numeric(a in any_id(), b in any_id()) {
            prop_assert_eq!(a.cmp(&b), number(a).cmp(&number(b)));
            prop_assert_eq!(a.leading_zeros() as usize, number(a).leading_zeros());
        }

        #[test]
        fn between_is_a_comparison_of_distances(a in any_id(), x in any_id(), b in any_id()) {
            let inside = x != a && (a == b || a.distance_to(x) < a.distance_to(b));
            prop_assert_eq!(x.between(a, b), inside);
            prop_assert_eq!(x.in_arc(a, b), inside || x == b);
        }

        #[test]
        fn an_id_is_read_as_it_is_written(a in any_id(), digits in 1..=40usize) {
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            let prefix: IdPrefix = a.to_string()[..digits].parse().unwrap();
            prop_assert!(prefix.matches(a));
            prop_assert!(prefix.start() <= a);
            prop_assert_eq!(prefix.to_string(), &a.to_string()[..digits]);
        }
    }

    #[test]
    fn the_arc_from_a_point_to_itself_is_the_whole_circle() {
        let (a, b) = (Id::hash("a"), Id::hash("b"));
        assert!(b.between(a, a));
        assert!(!a.between(a, a));
        assert!(a.in_arc(a, a));
    }

    #[test]
    fn a_prefix_ends_where_its_digits_end() {
        let prefix: IdPrefix = "abc".parse().unwrap();
        let mut bytes = [0; 20];
        bytes[..2].copy_from_slice(&[0xab, 0xcf]);
        assert!(prefix.matches(Id(bytes)));
        bytes[1] = 0xb0;
        assert!(!prefix.matches(Id(bytes)));
        assert_eq!("".parse::<IdPrefix>(), Err(NotAPrefix));
        assert_eq!("xyz".parse::<IdPrefix>(), Err(NotAPrefix));
        assert_eq!("é".parse::<IdPrefix>(), Err(NotAPrefix));
        assert_eq!("a".repeat(41).parse::<IdPrefix>(), Err(NotAPrefix));
        assert_eq!("a".repeat(39).parse::<Id>(), Err(NotAnId));
    }

    #[test]
    fn a_peer_cannot_send_a_prefix_that_no_id_begins_with() {
        let decoded = |start: Id, digits: usize| {
            crate::wire::decode::<IdPrefix>(&crate::wire::encode(&(start, digits))).ok()
        };
        let id = Id::hash("a");
        assert_eq!(decoded(id, 40), id.to_string().parse().ok());
        let prefix: IdPrefix = "abc".parse().unwrap();
        assert_eq!(decoded(prefix.start(), 3), Some(prefix));
        assert_eq!([decoded(id, 0), decoded(id, 41), decoded(id, usize::MAX), decoded(id, 3)], [None; 4]);
    }

    #[test]
    fn the_id_of_a_node_is_the_hash_of_its_address() {
        let node = NodeHandle::new("127.0.0.1:7000".parse().unwrap());
        assert_eq!(node.id(), Id::hash("127.0.0.1:7000"));
        assert_eq!(node.id().to_string(), "866a95987cd8f228c2a99d31f2928d64ebbdcd34");
        let node = NodeHandle::new("[::1]:7000".parse().unwrap());
        assert_eq!(node.id(), Id::hash("[::1]:7000"));
    }
}
