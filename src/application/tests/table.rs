//! What python-chord, the library of the course, gives to an application, and what stands for it here.

use std::fs;

use super::one_node::ordered;
use super::*;
use crate::chord::SUCCESSORS;

/// What a node that is alone tells when it is given these commands.
fn told(commands: impl IntoIterator<Item = Do>) -> Vec<Told> {
    let mut host = Probe::host(node(1));
    let orders = std::iter::once(Order::Create).chain(commands.into_iter().map(Order::Command));
    let events = orders.flat_map(|order| ordered(&mut host, order)).filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

fn tells(command: Do, wanted: impl Fn(&Told) -> bool) -> bool {
    told([command]).iter().any(wanted)
}

fn key() -> Id {
    Id::hash("key")
}

type Row = (&'static str, &'static str, fn() -> bool);

/// Each function of python-chord, what stands for it, and whether that works.
const ROWS: [Row; 20] = [
    ("Address(ip, port)", "NodeHandle::new", || node(1).addr().port() == 1),
    ("hash_string(s)", "Id::hash", || key() == Id::hash(b"key")),
    ("Node.id()", "NodeHandle::id", || node(1).id() == Id::hash("10.0.0.1:1")),
    ("inrange(c, a, b)", "Range::contains", || Range { from: key(), to: key() }.contains(key())),
    ("Local(address)", "Host::new", || Probe::host(node(1)).me() == node(1)),
    ("Local(address, remote)", "Order::Join", || {
        !ordered(&mut Probe::host(node(1)), Order::Join(node(2))).is_empty()
    }),
    ("start()", "Driver::run", || {
        // Compiles: a host is a machine that a driver can run, also on another thread.
        fn runs<M: Machine<Message: Send> + Send>(_: &M) -> bool {
            true
        }
        runs(&Probe::host(node(1)))
    }),
    ("register_command(cmd, callback)", "Host::register", || {
        Probe::host(node(1)).register(NOBODYS, Probe::echo) == Ok(())
    }),
    ("unregister_command(cmd)", "Host::unregister", || Probe::host(node(1)).unregister("echo")),
    ("Remote.user_command(cmd, msg)", "Context::request_to", || {
        tells(Do::AskNode(node(1), 5), |told| matches!(told, Told::Replied(_, _, Ok(5))))
    }),
    ("find_successor(id).user_command(cmd, msg)", "Context::request", || {
        tells(Do::Ask(key(), 5), |told| matches!(told, Told::Replied(_, _, Ok(5))))
    }),
    ("set_notify_handler(h)", "Application::on_update", || {
        tells(Do::Linger, |told| matches!(told, Told::Update(_)))
    }),
    ("is_ours(id)", "Context::is_root", || Probe::host(node(1)).cx.is_root(key()).is_none()),
    ("find_successor(id)", "Context::find_root", || {
        tells(Do::Find(key()), |told| matches!(told, Told::Found(_, Ok(root)) if *root == node(1)))
    }),
    ("successor()", "Context::successor", || Probe::host(node(1)).cx.successor().is_none()),
    ("predecessor()", "Context::predecessor", || Probe::host(node(1)).cx.predecessor().is_none()),
    ("get_successors", "Context::successors", || Probe::host(node(1)).cx.successors().len() < SUCCESSORS),
    ("Remote.ping()", "builtin::PING", || tells(Do::Neighbours(node(1)), |told| *told == Told::Pong)),
    ("Remote.successor(), Remote.predecessor()", "builtin::SUCCESSORS", || {
        tells(Do::Neighbours(node(1)), |told| *told == Told::After(vec![]))
            && tells(Do::Neighbours(node(1)), |told| *told == Told::Before(None))
    }),
    ("shutdown()", "Context::leave", || tells(Do::Leave, |told| *told == Told::Left(Departure::Alone))),
];

#[test]
fn whatever_python_chord_gives_to_an_application_is_here_and_in_the_document() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/library.md");
    let document = fs::read_to_string(document).unwrap();
    for (theirs, ours, works) in ROWS {
        assert!(works(), "{theirs}: {ours}");
        let row = format!("| `{theirs}` | `{ours}` |");
        assert!(document.contains(&row), "docs/library.md has a row that begins with {row}");
    }
    let rows = document.lines().skip_while(|line| !line.starts_with("| python-chord |")).skip(2);
    assert_eq!(rows.take_while(|line| line.starts_with('|')).count(), ROWS.len(), "rows that are not tested");
}
