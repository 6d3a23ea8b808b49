// As much JSON as ../README.md needs: the JDK has none.

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

final class Json {
    private final String source;
    private int at;

    private Json(String source) {
        this.source = source;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(String source) {
        return (Map<String, Object>) new Json(source).value();
    }

    static String rows(List<List<String>> rows) {
        var all = new ArrayList<String>();
        for (List<String> row : rows) {
            var cells = new ArrayList<String>();
            for (String cell : row) {
                cells.add(text(cell));
            }
            all.add("[" + String.join(",", cells) + "]");
        }
        return "[" + String.join(",", all) + "]";
    }

    static String text(String value) {
        if (value == null) {
            return "null";
        }
        var made = new StringBuilder("\"");
        for (char c : value.toCharArray()) {
            if (c == '"' || c == '\\' || c < ' ') {
                made.append(String.format("\\u%04x", (int) c));
            } else {
                made.append(c);
            }
        }
        return made.append('"').toString();
    }

    private Object value() {
        switch (next()) {
            case '{': return members();
            case '"': return string();
            default: return word();
        }
    }

    private Map<String, Object> members() {
        var members = new HashMap<String, Object>();
        at++;
        while (next() != '}') {
            if (next() == ',') {
                at++;
                next();
            }
            String name = string();
            next();
            at++;
            members.put(name, value());
        }
        at++;
        return members;
    }

    private String string() {
        var made = new StringBuilder();
        for (at++; source.charAt(at) != '"'; at++) {
            char c = source.charAt(at);
            made.append(c == '\\' ? escaped() : c);
        }
        at++;
        return made.toString();
    }

    private char escaped() {
        char c = source.charAt(++at);
        switch (c) {
            case 'n': return '\n';
            case 't': return '\t';
            case 'r': return '\r';
            case 'b': return '\b';
            case 'f': return '\f';
            case 'u':
                at += 4;
                return (char) Integer.parseInt(source.substring(at - 3, at + 1), 16);
            default: return c;
        }
    }

    private Object word() {
        int start = at;
        while (at < source.length() && ",}".indexOf(source.charAt(at)) < 0) {
            at++;
        }
        String word = source.substring(start, at).trim();
        return word.equals("null") ? null : word;
    }

    private char next() {
        while (Character.isWhitespace(source.charAt(at))) {
            at++;
        }
        return source.charAt(at);
    }
}
