//! Debug only.
use crate::fleet::{Node, is, ring_of};
#[test]
fn zz_debug() {
    for round in 0..12 {
    let mut nodes = ring_of(32);
    let names: Vec<String> = nodes.iter().map(|node| node.nick.clone()).collect();
    let mut bad = vec![];
    for n in &names {
        let a = nodes[0].ask(&format!("whois {n}"), |e| is(e, "whois") || is(e, "error"));
        if is(&a, "error") { bad.push(n.clone()); }
    }
    eprintln!("round {round}: lost {bad:?}");
    if let Some(n) = bad.first() {
        let key = chord_chat::id::Id::hash(n);
        eprintln!("key {key}");
        for node in &nodes { eprintln!("{} {:?}", node.nick, node.handle()); }
        let mut all = vec![];
        for node in &nodes {
            for e in node.events() {
                if is(&e, "ring") || e["name"] == n.as_str() || (is(&e,"ready")) {
                    all.push(format!("{} {} {} {} {} {} {} {}", e["time"].as_str().unwrap(), node.id().short(), node.nick, e["event"], e["change"], e["direction"], e["why"], e["peer"]["id"].as_str().map_or(String::new(), |s| s[..8].to_owned())));
                }
            }
        }
        all.sort();
        for a in all { eprintln!("{a}"); }
        panic!();
    }
    let _: Vec<Node> = nodes;
    }
}
