//! What the user sees and does: a table of the nodes, or one node.

use std::time::Instant;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};

use super::table::{COLUMNS, Column, Order, rows, summary};
use super::watch::{Standing, Watch, Watched};
use crate::lab::look::about;
use crate::lab::state::Lab;

/// By how many columns the second and later rows of a long line are moved to the right.
const INDENT: usize = 13;

/// What is shown, and how.
#[derive(Debug)]
pub(super) struct View {
    order: Order,
    /// The name of the node that the user has chosen, so that it stays chosen where it moves; without it, the first.
    chosen: Option<String>,
    /// Looks into the chosen node, from this line on.
    inside: Option<usize>,
    table: TableState,
    has_colours: bool,
    /// How many rows were there for nodes, or for lines, when it was drawn last.
    height: usize,
    /// What could not be done.
    pub(super) trouble: Option<String>,
}

/// What is to be done after a key was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    GoOn,
    Quit,
}

/// What the keys do, for each of the two pages.
const KEYS_OF_TABLE: &[(&str, &str)] = &[("q", "quit"), ("↑↓", "choose"), ("Enter", "look into")];
const KEYS_OF_NODE: &[(&str, &str)] = &[("q", "quit"), ("↑↓", "scroll"), ("Esc", "all nodes")];

impl View {
    pub(super) fn new(has_colours: bool) -> View {
        View {
            order: Order::default(),
            chosen: None,
            inside: None,
            table: TableState::default(),
            has_colours,
            height: 0,
            trouble: None,
        }
    }

    pub(super) fn on_key(&mut self, key: KeyEvent, watch: &Watch, now: Instant) -> After {
        if key.kind == KeyEventKind::Release {
            return After::GoOn;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') => return After::Quit,
            KeyCode::Char('c') if is_control => return After::Quit,
            KeyCode::Char(_) if is_control => {}
            KeyCode::Esc | KeyCode::Backspace => self.inside = None,
            KeyCode::Enter if self.inside.is_some() => self.inside = None,
            KeyCode::Enter => {
                self.go(0, watch, now);
                self.inside = self.chosen.is_some().then_some(0);
            }
            KeyCode::Up => self.go(-1, watch, now),
            KeyCode::Down => self.go(1, watch, now),
            KeyCode::PageUp => self.go(-self.page(), watch, now),
            KeyCode::PageDown => self.go(self.page(), watch, now),
            KeyCode::Home => self.go(isize::MIN, watch, now),
            KeyCode::End => self.go(isize::MAX, watch, now),
            KeyCode::Char(letter) if self.inside.is_none() => {
                self.order = Order::of_key(letter).unwrap_or(self.order);
            }
            _ => {}
        }
        After::GoOn
    }

    /// The name of the node that is looked into, if one is.
    pub(super) fn looks_into(&self) -> Option<&str> {
        self.inside.and(self.chosen.as_deref())
    }

    fn page(&self) -> isize {
        isize::try_from(self.height.max(2) - 1).unwrap_or(isize::MAX)
    }

    /// Goes down by so many rows, or up.
    fn go(&mut self, by: isize, watch: &Watch, now: Instant) {
        if let Some(line) = &mut self.inside {
            // Where the text ends is known when it is drawn.
            *line = line.saturating_add_signed(by);
            return;
        }
        let rows = rows(watch, self.order, now);
        let place = rows.iter().position(|watched| Some(&watched.node.name) == self.chosen.as_ref());
        let place = place.unwrap_or(0).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.chosen = rows.get(place).map(|watched| watched.node.name.clone());
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, lab: &Lab, watch: &Watch, now: Instant) {
        let help = self.help(usize::from(frame.area().width));
        let help_height = u16::try_from(help.len()).unwrap_or(u16::MAX);
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(2), Constraint::Length(help_height)])
                .areas(frame.area());
        let [first, second] = summary(watch, now);
        let first = match &self.trouble {
            Some(trouble) => Line::styled(trouble.clone(), self.style(Color::Red)),
            None => Line::styled(first, Modifier::BOLD),
        };
        frame.render_widget(Text::from(vec![first, Line::raw(second)]), head);
        match self.inside {
            Some(line) => self.draw_node(frame, body, lab, watch, line, now),
            None => self.draw_table(frame, body, watch, now),
        }
        frame.render_widget(Text::from(help), foot);
    }

    fn draw_table(&mut self, frame: &mut Frame<'_>, area: Rect, watch: &Watch, now: Instant) {
        let columns = columns_for(usize::from(area.width));
        let rows = rows(watch, self.order, now);
        // One row has the headings.
        self.height = usize::from(area.height).saturating_sub(1);
        let chosen = rows.iter().position(|watched| Some(&watched.node.name) == self.chosen.as_ref());
        if chosen.is_none() {
            self.chosen = None;
        }
        self.table.select(chosen.or_else(|| (!rows.is_empty()).then_some(0)));
        let heading = |column: &Column| {
            let is_sorted_by = column.order == Some(self.order);
            let style = if is_sorted_by { Modifier::BOLD | Modifier::UNDERLINED } else { Modifier::BOLD };
            Cell::from(Span::styled(column.heading(), style))
        };
        let row = |watched: &&Watched| {
            let cells = columns.iter().map(|column| column.cell(watched, now));
            Row::new(cells).style(self.style_of(watched, now))
        };
        let widths = columns.iter().map(|column| u16::try_from(column.width).unwrap_or(u16::MAX));
        let table = Table::new(rows.iter().map(row), widths)
            .header(Row::new(columns.iter().map(heading)))
            .column_spacing(1)
            .row_highlight_style(Modifier::REVERSED);
        frame.render_stateful_widget(table, area, &mut self.table);
    }

    fn draw_node(
        &mut self,
        frame: &mut Frame<'_>,
        area: Rect,
        lab: &Lab,
        watch: &Watch,
        line: usize,
        now: Instant,
    ) {
        let name = self.chosen.as_deref().unwrap_or_default();
        let mut lines = Vec::new();
        match watch.node(now, name) {
            None => lines.push(format!("{name} is gone")),
            Some(watched) => {
                match &watched.standing {
                    Standing::Gone(_) => lines.push(format!("{name} is gone; this is what it said last:")),
                    Standing::Silent(reason) => lines.push(format!("{name} is silent: {reason}")),
                    Standing::Starts => lines.push(format!("{name} is not in the ring yet")),
                    Standing::Asked | Standing::Runs => {}
                }
                let place = watched.place.as_ref();
                let values = watched.values.as_ref();
                let about = place.and_then(|place| about(lab, &watched.node, place, values).ok());
                lines.extend(about.into_iter().flatten());
            }
        }
        let width = usize::from(area.width);
        let lines: Vec<Line<'_>> = lines.iter().flat_map(|line| fold(line, width)).map(Line::raw).collect();
        self.height = usize::from(area.height);
        let first = line.min(lines.len().saturating_sub(self.height));
        self.inside = Some(first);
        let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(self.height).collect();
        frame.render_widget(Paragraph::new(shown), area);
    }

    /// What can be pressed, in as many lines as it takes.
    fn help(&self, width: usize) -> Vec<Line<'static>> {
        let keys = if self.inside.is_some() { KEYS_OF_NODE } else { KEYS_OF_TABLE };
        let mut spans = Vec::new();
        for (key, what) in keys {
            spans.push([Span::styled(*key, Modifier::BOLD), Span::raw(format!(" {what}"))]);
        }
        if self.inside.is_none() {
            for (order, key, name) in Order::ALL {
                let style = if order == self.order { Modifier::UNDERLINED } else { Modifier::empty() };
                let key = Span::styled(key.to_string(), Modifier::BOLD);
                spans.push([key, Span::styled(format!(" {name}"), style)]);
            }
        }
        let mut lines = vec![Line::default()];
        for pair in spans {
            let wide = pair.iter().map(Span::width).sum::<usize>();
            let last = lines.len() - 1;
            if 0 < lines[last].width() && width < lines[last].width() + 2 + wide {
                lines.push(Line::default());
            } else if 0 < lines[last].width() {
                lines[last].push_span("  ");
            }
            let last = lines.len() - 1;
            pair.into_iter().for_each(|span| lines[last].push_span(span));
        }
        lines
    }

    fn style(&self, colour: Color) -> Style {
        if self.has_colours { Style::from(colour) } else { Style::default() }
    }

    fn style_of(&self, watched: &Watched, now: Instant) -> Style {
        match watched.standing {
            Standing::Gone(_) => self.style(Color::Red).add_modifier(Modifier::DIM),
            Standing::Silent(_) => self.style(Color::Yellow),
            Standing::Asked | Standing::Starts => Style::from(Modifier::DIM),
            Standing::Runs if watched.is_new(now) => self.style(Color::Green),
            Standing::Runs => Style::default(),
        }
    }
}

/// As many columns as there is room for, with a blank between two.
fn columns_for(width: usize) -> &'static [Column] {
    let mut end = 0;
    let fit = COLUMNS.iter().take_while(|column| {
        end += column.width + 1;
        end <= width + 1
    });
    &COLUMNS[..fit.count()]
}

/// A line in rows of this width, broken at blanks where there are some; rows after the first begin below what they
/// belong to.
fn fold(line: &str, width: usize) -> Vec<String> {
    let indent = if 2 * INDENT <= width { INDENT } else { 0 };
    let is_full = |row: &str, more: usize| width < row.chars().count() + more;
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in line.split_inclusive(' ') {
        if !row.trim_start().is_empty() && is_full(&row, word.trim_end().chars().count()) {
            rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
        }
        for char in word.chars() {
            // A word that fits into no row is cut; a blank at the end is not seen.
            if is_full(&row, 1) && char != ' ' {
                rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
            }
            row.push(char);
        }
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::{self, Buffer};

    use super::*;
    use crate::lab::monitor::watch::tests::{node, says};
    use crate::lab::monitor::watch::{Answer, MARKED};

    /// A screen of this size on which so many nodes are watched.
    struct Desk {
        _dir: tempfile::TempDir,
        lab: Lab,
        terminal: Terminal<TestBackend>,
        view: View,
        watch: Watch,
        now: Instant,
        nodes: u16,
    }

    impl Desk {
        fn new((width, height): (u16, u16), nodes: u16) -> Desk {
            let dir = tempfile::tempdir().unwrap();
            let lab = Lab::new(Some(dir.path().to_owned())).unwrap();
            let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            let (view, watch) = (View::new(true), Watch::default());
            let mut desk = Desk { _dir: dir, lab, terminal, view, watch, now: Instant::now(), nodes };
            desk.look(|_| 0);
            desk.now += Duration::from_secs(1);
            // The nearer to the end of the ring, the fewer messages.
            desk.look(|number| 10 * u64::from(1000 - number));
            desk
        }

        /// A look at which each node has sent so many messages.
        fn look(&mut self, messages: impl Fn(u16) -> u64) {
            self.watch.begin_look(self.now, (1..=self.nodes).map(node).collect());
            for number in 1..=self.nodes {
                says(&mut self.watch, self.now, number, messages(number));
            }
            self.draw();
        }

        fn draw(&mut self) {
            let Desk { lab, terminal, view, watch, now, .. } = self;
            terminal.draw(|frame| view.draw(frame, lab, watch, *now)).unwrap();
        }

        fn press(&mut self, key: KeyCode) -> After {
            let after = self.view.on_key(KeyEvent::from(key), &self.watch, self.now);
            self.draw();
            after
        }

        fn screen(&self) -> &Buffer {
            self.terminal.backend().buffer()
        }

        /// The rows of the screen.
        fn rows(&self) -> Vec<String> {
            let screen = self.screen();
            let row = |cells: &[buffer::Cell]| {
                cells.iter().map(buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
            };
            screen.content().chunks(usize::from(screen.area.width)).map(row).collect()
        }

        /// The names in the first column.
        fn names(&self) -> Vec<String> {
            let rows = self.rows();
            let rows = rows[3..].iter().filter(|row| row.starts_with('n'));
            rows.map(|row| row.split(' ').next().unwrap().to_owned()).collect()
        }

        /// The name in the row that is shown as chosen.
        fn chosen(&self) -> String {
            let screen = self.screen();
            let mut rows =
                (0..screen.area.height).filter(|row| screen[(0, *row)].modifier.contains(Modifier::REVERSED));
            let row = usize::from(rows.next().expect("a row is chosen"));
            assert_eq!(rows.next(), None, "one row is chosen");
            self.rows()[row].split(' ').next().unwrap().to_owned()
        }
    }

    #[test]
    fn a_small_screen_shows_all_of_each_column_that_it_has_room_for() {
        let desk = Desk::new((60, 15), 3);
        assert_eq!(
            desk.rows()[..6],
            [
                "3 nodes; 0 came, 0 went",
                "6 records, 3 copies; 29940.0 messages/s, 2994.0 lookups/s",
                "NODE   ID       STATE    ROOT COPIES  MSG/S LOOKUP/S     KiB",
                "n1     00010000 runs        1      1 9990.0    999.0      10",
                "n2     00020000 runs        2      1 9980.0    998.0      20",
                "n3     00030000 runs        3      1 9970.0    997.0      30",
            ]
        );
        assert_eq!(
            desk.rows()[13..],
            ["q quit  ↑↓ choose  Enter look into  r ring  c records", "m messages  l lookups  y memory",][..]
                .iter()
                .map(|row| (*row).to_owned())
                .collect::<Vec<_>>()[..]
        );
        let wide = Desk::new((120, 15), 3);
        assert!(wide.rows()[2].ends_with("BEFORE   NEXT     ADDRESS"), "{:#?}", wide.rows());
        assert_eq!(
            wide.rows()[14],
            "q quit  ↑↓ choose  Enter look into  r ring  c records  m messages  l lookups  y memory"
        );
    }

    #[test]
    fn two_hundred_nodes_are_scrolled_through_to_the_last_one_and_back() {
        let mut desk = Desk::new((60, 15), 200);
        let rows = desk.names().len();
        assert_eq!((rows, desk.chosen()), (10, "n1".to_owned()));
        let mut seen = std::collections::BTreeSet::from([desk.chosen()]);
        for _ in 1..200 {
            desk.press(KeyCode::Down);
            seen.insert(desk.chosen());
        }
        assert_eq!((seen.len(), desk.chosen()), (200, "n200".to_owned()));
        desk.press(KeyCode::Down);
        assert_eq!(
            (desk.chosen(), desk.names().last().cloned()),
            ("n200".to_owned(), Some("n200".to_owned()))
        );
        desk.press(KeyCode::PageUp);
        assert_eq!(desk.chosen(), "n191");
        desk.press(KeyCode::Home);
        assert_eq!((desk.chosen(), desk.names()[0].clone()), ("n1".to_owned(), "n1".to_owned()));
        desk.press(KeyCode::End);
        assert_eq!(desk.chosen(), "n200");
    }

    #[test]
    fn the_chosen_node_stays_chosen_when_the_order_changes() {
        let mut desk = Desk::new((80, 20), 5);
        desk.press(KeyCode::Char('c'));
        assert_eq!(desk.chosen(), "n5", "as long as nobody has chosen, it is the first");
        desk.press(KeyCode::Char('r'));
        desk.press(KeyCode::Down);
        assert_eq!(desk.names(), ["n1", "n2", "n3", "n4", "n5"]);
        for (key, names) in [
            ('c', ["n5", "n4", "n3", "n2", "n1"]),
            ('m', ["n1", "n2", "n3", "n4", "n5"]),
            ('y', ["n5", "n4", "n3", "n2", "n1"]),
            ('l', ["n1", "n2", "n3", "n4", "n5"]),
            ('r', ["n1", "n2", "n3", "n4", "n5"]),
        ] {
            desk.press(KeyCode::Char(key));
            assert_eq!((desk.names(), desk.chosen()), (names.map(str::to_owned).to_vec(), "n2".to_owned()));
        }
    }

    #[test]
    fn a_node_that_comes_is_marked_for_a_while_and_so_is_one_that_goes() {
        let mut desk = Desk::new((80, 20), 3);
        desk.nodes = 4;
        desk.look(|_| 0);
        assert!(desk.rows()[6].starts_with("n4     00040000 new "), "{:#?}", desk.rows());
        assert_eq!(desk.rows()[0], "4 nodes; 1 came, 0 went");
        desk.nodes = 3;
        desk.look(|_| 0);
        assert!(desk.rows()[6].starts_with("n4     00040000 gone "), "{:#?}", desk.rows());
        assert_eq!(desk.rows()[0], "3 nodes; 1 came, 1 went");
        desk.now += MARKED;
        desk.look(|_| 0);
        assert_eq!(desk.names(), ["n1", "n2", "n3"]);
    }

    #[test]
    fn one_node_is_looked_into_and_its_lines_are_folded_and_scrolled() {
        let mut desk = Desk::new((60, 12), 3);
        desk.press(KeyCode::Down);
        desk.press(KeyCode::Enter);
        let rows = desk.rows();
        assert_eq!(rows[2], "name         n2, process 2");
        assert_eq!(rows[3], format!("node         0002{}", "0".repeat(36)));
        assert_eq!(rows[4], "             127.0.0.1:7002");
        assert_eq!(rows[11], "q quit  ↑↓ scroll  Esc all nodes");
        for _ in 0..100 {
            desk.press(KeyCode::Down);
        }
        let successor = format!("successor    1 0003{}", "0".repeat(36));
        assert!(desk.rows().contains(&successor), "{:#?}", desk.rows());
        desk.press(KeyCode::Home);
        assert_eq!(desk.rows()[2], "name         n2, process 2");
        desk.watch.begin_look(desk.now, vec![node(1), node(2), node(3)]);
        desk.watch.on_answer(desk.now, &node(2), Answer::Silent("it sleeps".to_owned()));
        desk.draw();
        assert_eq!(desk.rows()[2], "n2 is silent: it sleeps");
        desk.press(KeyCode::Esc);
        assert_eq!(desk.chosen(), "n2");
        assert_eq!(desk.press(KeyCode::Char('q')), After::Quit);
    }

    #[test]
    fn a_long_line_is_broken_at_blanks_and_a_long_word_anywhere() {
        let fold = |line: &str, width| fold(line, width).join("|");
        assert_eq!(fold("successor    1 abc def", 26), "successor    1 abc def");
        assert_eq!(
            fold("successor    1 abc defghijklmno", 26),
            "successor    1 abc |             defghijklmno"
        );
        assert_eq!(fold("abc def", 3), "abc |def");
        assert_eq!(fold("abcdefgh", 3), "abc|def|gh");
        assert_eq!((fold("", 3), fold("ab", 1)), (String::new(), "a|b".to_owned()));
    }

    #[test]
    fn there_are_colours_only_where_they_are_wanted() {
        let colours = |has_colours| {
            let mut desk = Desk::new((60, 15), 3);
            desk.view.has_colours = has_colours;
            desk.watch.begin_look(desk.now, vec![node(1), node(2), node(4)]);
            desk.watch.on_answer(desk.now, &node(2), Answer::Silent("it sleeps".to_owned()));
            desk.view.trouble = Some("trouble".to_owned());
            desk.draw();
            let cells = desk.screen().content().iter();
            cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(0 < colours(true));
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        for width in [1, 2, 7, 20, 59] {
            for height in [1, 2, 3, 5] {
                let mut desk = Desk::new((width, height), 5);
                desk.press(KeyCode::End);
                desk.press(KeyCode::PageUp);
                desk.press(KeyCode::Enter);
                desk.press(KeyCode::End);
                assert_eq!(desk.press(KeyCode::Char('q')), After::Quit);
            }
        }
    }
}
