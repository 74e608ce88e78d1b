# Turns the captured panes of terminals into one picture.
# Input: for each pane a line "=== name", then its lines with their colours, as tmux captures them.

function colour(n,    level, grey) {
    if (n < 16) return substr("000000cd3131 0dbc79e5e5102472c8bc3fbc11a8cde5e5e5666666f14c4c23d18bf5f5433b8eead670d629b8dbffffff", 1 + n * 6 + (n > 1), 6)
    if (n >= 232) { grey = 8 + (n - 232) * 10; return sprintf("%02x%02x%02x", grey, grey, grey) }
    n -= 16
    return sprintf("%02x%02x%02x", ramp(int(n / 36)), ramp(int(n / 6) % 6), ramp(n % 6))
}

function ramp(level) { return level ? 55 + level * 40 : 0 }

function escape(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# Takes the numbers of one sequence into account.
function style(sequence,    numbers, count, i) {
    count = split(sequence == "" ? "0" : sequence, numbers, ";")
    for (i = 1; i <= count; i++) {
        if (numbers[i] == 0) { fill = ""; bold = 0; dim = 0 }
        else if (numbers[i] == 1) bold = 1
        else if (numbers[i] == 2) dim = 1
        else if (numbers[i] == 22) { bold = 0; dim = 0 }
        else if (numbers[i] >= 30 && numbers[i] <= 37) fill = colour(numbers[i] - 30)
        else if (numbers[i] == 39) fill = ""
        else if (numbers[i] == 38 && numbers[i + 1] == 5) { fill = colour(numbers[i + 2]); i += 2 }
        else if (numbers[i] >= 90 && numbers[i] <= 97) fill = colour(numbers[i] - 82)
    }
}

function span(text,    attributes) {
    if (text == "") return ""
    if (fill != "") attributes = attributes " fill=\"#" fill "\""
    if (bold) attributes = attributes " font-weight=\"bold\""
    if (dim) attributes = attributes " opacity=\"0.6\""
    return attributes == "" ? escape(text) : "<tspan" attributes ">" escape(text) "</tspan>"
}

function coloured(line,    out, start) {
    out = ""
    while ((start = index(line, "\033[")) > 0) {
        out = out span(substr(line, 1, start - 1))
        line = substr(line, start + 2)
        match(line, /^[0-9;]*/)
        if (substr(line, RLENGTH + 1, 1) == "m") style(substr(line, 1, RLENGTH))
        line = substr(line, RLENGTH + 2)
    }
    return out span(line)
}

BEGIN {
    line_height = 17; width = columns * 7.85 + 24; pane = rows * line_height + 40; panes = 0
}

/^=== / {
    top = panes++ * (pane + 10)
    body = body sprintf("<rect y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\" fill=\"#16181d\"/>\n", top, width, pane)
    body = body sprintf("<text x=\"12\" y=\"%d\" fill=\"#8b93a1\">%s</text>\n", top + 19, escape(substr($0, 5)))
    row = 0
    style("")
    next
}

{
    row++
    text = coloured($0)
    if (text != "") body = body sprintf("<text x=\"12\" y=\"%d\">%s</text>\n", top + 24 + row * line_height, text)
}

END {
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13\" fill=\"#d7dae0\" xml:space=\"preserve\">\n", width, panes * (pane + 10) - 10
    print "<title>Three people chat in three terminals</title>"
    printf "%s</svg>\n", body
}
