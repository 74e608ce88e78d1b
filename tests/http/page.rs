//! The page as a person sees and uses it, in a real browser.
//!
//! `UPDATE=1` takes the pictures anew that are kept in `docs`.

use std::time::Duration;
use std::{env, fs};

use serde_json::{Value, json};

use super::browser::Browser;
use super::node::{Node, wait_until};
use super::{ring, with_token};

const NODES: &str = "document.querySelectorAll('#nodes .node').length";

/// The page of a node, with its token.
async fn open(node: &Node) -> Browser {
    let browser = Browser::open(1280, 1000).await;
    browser.page.goto(&format!("http://{}/#token={}", node.http, node.token)).await.unwrap();
    browser
}

async fn picture(browser: &Browser, name: &str) {
    if env::var_os("UPDATE").is_some() {
        let picture = browser.page.screenshot().await.unwrap();
        fs::write(format!("{}/docs/{name}.png", env!("CARGO_MANIFEST_DIR")), picture).unwrap();
    }
}

fn shows(node: &Node) -> String {
    format!("document.querySelector('#nodes [data-addr=\"{}\"]') !== null", node.addr())
}

/// The nodes that can be pointed at: others stand at almost the same place as these, and are below them.
async fn in_sight(browser: &Browser) -> Vec<String> {
    let nodes = "[...document.querySelectorAll('#nodes [data-addr]')].filter((node) => {
        const { x, y, width, height } = node.querySelector('circle').getBoundingClientRect();
        return node.contains(document.elementFromPoint(x + width / 2, y + height / 2));
    }).map((node) => node.dataset.addr)";
    serde_json::from_value(browser.value(nodes).await).unwrap()
}

/// A key of which the node with this address is the root.
fn key_of(node: &Node, root: &str) -> String {
    let is_there =
        |key: &String| super::get(node, &format!("/dht/find/{key}")).json()["root"]["addr"] == json!(root);
    (0..).map(|i| format!("key{i}")).find(is_there).unwrap()
}

fn says(selector: &str, text: &str) -> String {
    format!("document.querySelector({}).textContent.includes({})", json!(selector), json!(text))
}

async fn ends_without_complaint(browser: Browser) {
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

/// How long something took, for the benchmarks.
fn report(what: &str, took: Duration) {
    println!("{what}: seen after {} ms", took.as_millis());
}

#[tokio::test]
async fn the_page_shows_nodes_that_come_and_crash_and_leave() {
    let [a, b, c] = ring();
    let browser = open(&a).await;
    browser.wait(&format!("{NODES} === 3")).await;
    browser.wait(&says("#state", "a ring of 3 nodes")).await;
    for node in [&a, &b, &c] {
        assert_eq!(browser.value(&shows(node)).await, json!(true));
    }
    let late = Node::start("d", Some(b.addr()), &[]);
    report("a node that has joined", browser.wait(&shows(&late)).await);
    browser.wait(&says("#activity", &format!("{} is in the ring", late.addr()))).await;
    browser.wait(&format!("document.querySelectorAll('#table tr').length === {}", 4)).await;
    let gone = format!("!({})", shows(&late));
    let addr = late.addr();
    drop(late);
    report("a node that was killed", browser.wait(&gone).await);
    browser.wait(&says("#activity", &format!("{addr} does not answer any more"))).await;
    b.terminate();
    browser.wait(&format!("!({})", shows(&b))).await;
    browser.wait(&says("#activity", &format!("{} has left the ring", b.addr()))).await;
    browser.wait(&says("#state", "a ring of 2 nodes")).await;
    ends_without_complaint(browser).await;
}

#[tokio::test]
async fn the_page_shows_records_with_their_copies_and_where_they_move() {
    let [a, _b, _c] = ring();
    let browser = open(&a).await;
    browser.wait(&format!("{NODES} === 3")).await;
    let values = "document.querySelectorAll('#records .value').length";
    for i in 0..20 {
        assert_eq!(with_token(&a, "PUT", &format!("/db/key{i}"), b"value").status, 201);
    }
    browser.wait(&format!("{values} === 20")).await;
    let kept_by = |rule: &str| {
        format!("[...document.querySelectorAll('#records .value')].every((dot) => dot.dataset.{rule})")
    };
    browser.wait(&kept_by("copies == 3")).await;
    let more: Vec<Node> = (0..5).map(|i| Node::start(&format!("n{i}"), Some(a.addr()), &[])).collect();
    browser.wait(&format!("{NODES} === {}", 3 + more.len())).await;
    // There are 5 copies where there are enough nodes, and a new node is the root of what is before it.
    browser.wait(&kept_by("copies >= 5")).await;
    browser.wait(&says("#activity", "moved from")).await;
    let dot = "document.querySelector('#records .value')";
    browser.value(&format!("{dot}.dispatchEvent(new PointerEvent('pointerenter'))")).await;
    browser
        .wait(&format!("String(document.querySelectorAll('#lines .copy').length) === {dot}.dataset.copies"))
        .await;
    assert_eq!(browser.value(values).await, json!(20));
    ends_without_complaint(browser).await;
}

#[tokio::test]
async fn messages_are_seen_as_they_pass() {
    let [a, b, c] = ring();
    let browser = open(&a).await;
    browser.wait(&format!("{NODES} === 3")).await;
    browser.wait("document.querySelector('#flights .ring') !== null").await;
    let watch = "window.seen = new Set(); new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const { classList, dataset } of addedNodes) {
            window.seen.add([classList[1], dataset.from, dataset.to].join());
        }
    }).observe(document.getElementById('flights'), { childList: true })";
    browser.value(&format!("(() => {{ {watch} }})()")).await;
    let key = key_of(&a, &c.addr().to_string());
    for node in [&a, &b] {
        assert!(with_token(node, "PUT", &format!("/db/{key}"), b"value").status < 300);
    }
    // It answers both, and has copies at both.
    for (topic, from, to) in [("value", &c, &a), ("record", &c, &a), ("value", &c, &b), ("record", &c, &b)] {
        let [from, to] = [from, to].map(|node| super::get(node, "/nodeinfo").json()["node"]["id"].clone());
        browser.wait(&format!("window.seen.has(['{topic}', {from}, {to}].join())")).await;
    }
    ends_without_complaint(browser).await;
}

#[tokio::test]
async fn who_points_at_a_node_or_chooses_it_by_the_keyboard_sees_its_successors_and_fingers() {
    let [a, b, c] = ring();
    let more: Vec<Node> = (0..11).map(|i| Node::start(&format!("n{i}"), Some(b.addr()), &[])).collect();
    let nodes: Vec<&Node> = [&a, &b, &c].into_iter().chain(&more).collect();
    let browser = open(&a).await;
    browser.wait(&format!("{NODES} === {}", nodes.len())).await;
    assert_eq!(browser.value("document.querySelectorAll('#lines line').length").await, json!(0));
    let told = |node: &Node, list: &str| super::get(node, "/nodeinfo").json()[list].as_array().unwrap().len();
    // A few nodes are all in the successor list of each.
    let others = nodes.len() - 1;
    wait_until("each has found its place", || nodes.iter().all(|node| told(node, "successors") == others));
    let in_sight = in_sight(&browser).await;
    let mut with_finger = None;
    wait_until("a node has a finger", || {
        // The keyboard begins at the first.
        let mut open = nodes[1..].iter().filter(|node| in_sight.contains(&node.addr().to_string()));
        with_finger = open.find(|node| 0 < told(node, "fingers"));
        with_finger.is_some()
    });
    let node = with_finger.unwrap();
    browser.find(&format!("#nodes [data-addr='{}'] circle", node.addr())).await.click().await.unwrap();
    browser.wait("document.querySelectorAll('#lines .finger').length > 0").await;
    browser.wait(&format!("document.querySelectorAll('#lines .successor').length === {others}")).await;
    browser.wait(&says("#details", &format!("Node{}", node.addr()))).await;
    // The keyboard reaches each node, too.
    let focused = "document.activeElement.dataset.addr";
    browser.value("document.querySelector('#nodes [tabindex=\"0\"]').focus()").await;
    let mut reached = Vec::new();
    for _ in &nodes {
        reached.push(browser.value(focused).await);
        browser.page.active_element().await.unwrap().send_keys("\u{e014}").await.unwrap();
    }
    reached.sort_by_key(Value::to_string);
    let peers = super::get(&a, "/dht/peers").json();
    let mut all: Vec<Value> =
        peers["nodes"].as_array().unwrap().iter().map(|node| node["addr"].clone()).collect();
    all.sort_by_key(Value::to_string);
    assert_eq!(reached, all);
    browser.page.active_element().await.unwrap().send_keys("\u{e007}").await.unwrap();
    browser.wait("document.activeElement.getAttribute('aria-pressed') === 'true'").await;
    browser.wait("document.querySelector('#details').textContent.includes('Node' + document.activeElement.dataset.addr)").await;
    ends_without_complaint(browser).await;
}

#[tokio::test]
async fn the_way_to_a_key_is_drawn_by_fingers_and_successor_by_successor() {
    let [a, _b, _c] = ring();
    let browser = open(&a).await;
    browser.wait(&format!("{NODES} === 3")).await;
    // A key to which it is two steps from here, successor by successor.
    let peers = super::get(&a, "/dht/peers").json();
    let root = peers["nodes"][2]["addr"].as_str().unwrap();
    let key = key_of(&a, root);
    browser.fill("#key", &key).await;
    browser.wait(&says("#find-state", &format!("{root} is responsible for {key}"))).await;
    browser.wait("document.querySelectorAll('#ways section').length === 2").await;
    browser
        .wait("document.querySelectorAll('#ways section')[1].querySelectorAll('line.way').length === 2")
        .await;
    browser.wait("document.querySelectorAll('#ways .node.root').length === 2").await;
    assert_eq!(
        browser
            .value("document.querySelectorAll('#ways section')[1].querySelectorAll('tbody tr').length")
            .await,
        json!(3)
    );
    // What is no key is told, not drawn.
    browser.fill("#key", &"k".repeat(300)).await;
    browser.wait(&says("#find-state", "a key has at most 256 characters")).await;
    assert_eq!(browser.value("document.querySelectorAll('#ways section').length").await, json!(0));
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("400 (Bad Request)")), "{complaints:?}");
    browser.close().await;
}

#[tokio::test]
async fn what_is_typed_in_the_page_arrives_in_a_terminal_and_the_answer_in_the_page() {
    let [a, b, _c] = ring();
    let command = format!(
        "{} --nick tom --addr 127.0.0.1:0 --bootstrap {} --ephemeral",
        env!("CARGO_BIN_EXE_chat"),
        b.addr()
    );
    let mut terminal = rexpect::spawn(&command, Some(30_000)).unwrap();
    terminal.exp_string("tom").unwrap();
    terminal.send_line("join #rust").unwrap();
    terminal.exp_string("You are in #rust").unwrap();
    let browser = open(&a).await;
    browser.wait(&says("#state", "a ring of 4 nodes")).await;
    browser.fill("#join", "#rust").await;
    browser.wait(&says("#talks", "#rust")).await;
    browser.fill("#text", "hello from <b>the page</b>").await;
    terminal.exp_string("hello from <b>the page</b>").unwrap();
    browser.wait(&says("#messages", "a: hello from <b>the page</b>")).await;
    browser.wait(&says("#messages .mark", "✓")).await;
    terminal.send_line("send #rust and back").unwrap();
    browser.wait(&says("#messages", "tom: and back")).await;
    terminal.send_line("msg a just for you").unwrap();
    browser.wait(&says("#talks", "tom")).await;
    browser.value("[...document.querySelectorAll('#talks button')].find((button) => button.textContent === 'tom').click()").await;
    browser.wait(&says("#messages", "tom: just for you")).await;
    browser.fill("#text", "thank you").await;
    terminal.exp_string("thank you").unwrap();
    browser.wait(&says("#messages", "thank you ✓✓")).await;
    // Who opens the page again finds what was said.
    browser.page.refresh().await.unwrap();
    browser.wait(&says("#messages", "tom: and back")).await;
    browser.find("#leave").await.click().await.unwrap();
    browser.wait("!document.querySelector('#talks').textContent.includes('#rust')").await;
    assert_eq!(super::get(&a, "/channels").json(), json!({ "channels": [] }));
    ends_without_complaint(browser).await;
    terminal.send_line("exit").unwrap();
    terminal.exp_eof().unwrap();
}

#[tokio::test]
async fn without_the_token_the_page_shows_all_and_changes_nothing() {
    let [a, _b, _c] = ring();
    let browser = Browser::open(1280, 1000).await;
    browser.page.goto(&format!("http://{}/", a.http)).await.unwrap();
    browser.wait(&format!("{NODES} === 3")).await;
    browser.fill("#join", "#rust").await;
    browser.wait(&says("#talk-state", "it needs the header")).await;
    assert_eq!(super::get(&a, "/channels").json(), json!({ "channels": [] }));
    browser.fill("#token", &a.token).await;
    browser.fill("#join", "#rust").await;
    browser.wait("document.querySelector('#talk-state').textContent === ''").await;
    browser.fill("#text", "with the token").await;
    browser.wait(&says("#messages", "a: with the token")).await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_fits_a_narrow_screen_and_light_and_dark() {
    let [a, b, c] = ring();
    for i in 0..30 {
        assert_eq!(with_token(&b, "PUT", &format!("/db/key{i}"), b"value").status, 201);
    }
    let _more: Vec<Node> = (0..5).map(|i| Node::start(&format!("n{i}"), Some(a.addr()), &[])).collect();
    let browser = open(&a).await;
    browser.wait(&format!("{NODES} === 8")).await;
    browser.fill("#join", "#rust").await;
    c.say("join #rust");
    c.wait_for("\"event\":\"joined\"");
    c.say("send #rust Good evening! Who is there?");
    browser.wait(&says("#messages", "Who is there?")).await;
    browser.fill("#text", "All of us: no server, and nothing is lost.").await;
    browser.wait(&says("#messages", "nothing is lost. ✓")).await;
    browser.fill("#key", "apple").await;
    browser.wait("document.querySelectorAll('#ways .node.root').length === 2").await;
    let node = &in_sight(&browser).await[0];
    browser.find(&format!("#nodes [data-addr='{node}'] circle")).await.click().await.unwrap();
    let mut backgrounds = Vec::new();
    for colours in ["light", "dark"] {
        browser.prefer(colours).await;
        backgrounds.push(browser.value("getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).color").await);
        picture(&browser, &format!("page-{colours}")).await;
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    browser.resize(360, 800).await;
    browser.wait("document.documentElement.scrollWidth <= innerWidth").await;
    let outside = "[...document.querySelectorAll('button, input, svg')].filter((element) => element.getBoundingClientRect().right > innerWidth).length";
    assert_eq!(browser.value(outside).await, Value::from(0));
    picture(&browser, "page-narrow").await;
    ends_without_complaint(browser).await;
}
