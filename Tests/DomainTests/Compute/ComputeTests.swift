import JSON
import Testing

@testable import Domain

struct ComputeTests {
    private static let arguments = #"""
        {"price":19.99,"quantity":3,"name":"Ada Lovelace","tags":["b","a","b"],"empty":[],"vip":true,"nothing":null,
         "order":{"id":"o-1","lines":[{"sku":"x","n":2},{"sku":"y","n":5}]},"text":"Grüße, 世界","huge":1e308}
        """#

    private static func evaluate(_ text: String) throws -> String {
        try ComputeExpression(text).evaluate(try JSONDocument(parsing: Array(arguments.utf8)).root).string
    }

    private static let values: [(String, String)] = [
        ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("10 - 4 - 3", "3"), ("2 * -3", "-6"), ("- - 2", "2"), ("7 % 4", "3"), ("-7 % 4", "-3"),
        ("1 / 4", "0.25"), ("0.1 + 0.2", "0.30000000000000004"), ("1e3", "1000"), ("9007199254740991 + 0", "9007199254740991"),
        ("price * quantity", "59.97"), ("round(price * quantity * 1.19, 2)", "71.36"), ("round(1.005, 2)", "1.01"), ("round(2.5)", "3"),
        ("round(-2.5)", "-3"), ("round(1e300, 2)", "1e+300"), ("floor(-1.5)", "-2"), ("ceil(1.2)", "2"), ("pow(2, 10)", "1024"),
        ("pow(2, -1)", "0.5"), ("sqrt(16)", "4"), ("abs(-3)", "3"), ("min(3, 1, 2)", "1"), ("max([3, 1, 2])", "3"), ("sum([])", "0"),
        ("average([1, 2])", "1.5"), ("sum(pluck(order.lines, 'n'))", "7"),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3", "true"), ("'a' < 'b'", "true"), ("1 == 1.0", "true"),
        ("[1, {a: 2}] == [1, {\"a\": 2}]", "true"),
        ("'1' == 1", "false"), ("1 != 2", "true"), ("!vip", "false"), ("vip || missing", "true"), ("false && missing", "false"),
        ("vip ? 'yes' : 'no'", "\"yes\""), ("quantity > 5 ? 'many' : quantity > 2 ? 'some' : 'few'", "\"some\""),
        ("nothing ?? missing ?? 'x'", "\"x\""), ("coalesce(nothing, 0)", "0"), ("if(vip, 1, 1/0)", "1"), ("missing", "null"),
        ("missing.deep[0].x", "null"), ("order.id", "\"o-1\""), ("order['id']", "\"o-1\""), ("order.lines[1].sku", "\"y\""),
        ("order.lines[-1].n", "5"), ("tags[9]", "null"), ("name[0]", "\"A\""),
        ("'a' + \"b\" + 'it\\'s'", "\"abit's\""), ("upper(name)", "\"ADA LOVELACE\""), ("lower('ÄB')", "\"äb\""), ("trim('  x ')", "\"x\""),
        ("length(text)", "9"), ("length(tags)", "3"), ("length(order)", "2"), ("contains(name, 'Love')", "true"),
        ("contains(tags, 'a')", "true"),
        ("startsWith(name, 'Ada')", "true"), ("endsWith(name, 'ace')", "true"), ("replace(name, 'a', '-')", "\"Ad- Lovel-ce\""),
        ("split('a,b,,c', ',')", "[\"a\",\"b\",\"\",\"c\"]"), ("join(tags, '+')", "\"b+a+b\""), ("slice(text, 7)", "\"世界\""),
        ("slice(tags, 0, -1)", "[\"b\",\"a\"]"), ("indexOf(text, '世')", "7"), ("indexOf(tags, 'z')", "-1"),
        ("repeat('ab', 3)", "\"ababab\""),
        ("first(tags)", "\"b\""), ("last(empty)", "null"), ("sort(tags)", "[\"a\",\"b\",\"b\"]"), ("unique(tags)", "[\"b\",\"a\"]"),
        ("reverse([1, 2])", "[2,1]"), ("concat([1], [2, 3])", "[1,2,3]"), ("keys(order)", "[\"id\",\"lines\"]"),
        ("has(order, 'id')", "true"),
        ("values({b: 2, a: 1})", "[1,2]"), ("text(1.50)", "\"1.5\""), ("text(true)", "\"true\""), ("number(' 1.5 ')", "1.5"),
        ("type(tags)", "\"list\""),
        ("{total: price * quantity, who: name}", "{\"total\":59.97,\"who\":\"Ada Lovelace\"}"), ("[ ]", "[]"), ("{ }", "{}"),
        ("'\\n\\t\\\\'", "\"\\n\\t\\\\\""),
    ]

    @Test(arguments: values)
    func `an expression comes to its value`(_ text: String, _ value: String) throws { #expect(try Self.evaluate(text) == value) }

    private static let unreadable: [(String, Int)] = [
        ("", 0), ("1 +", 3), ("(1", 2), ("1 2", 2), ("foo(1)", 0), ("abs()", 0), ("abs(1, 2)", 0), ("'open", 0), ("a.", 2), ("[1,", 3),
        ("1 = 1", 2),
        ("$x", 0), ("1e", 1), ("2x", 0), ("{a: 1, a: 2}", 7), ("a ? b", 5), ("'\\q'", 1), ("process.exit()", 12), ("1 +* 2", 3),
        ("`ls`", 0), ("a; b", 1), ("x => x", 2), ("1e999", 0), ("tags.length()", 11), ("@", 0),
    ]

    @Test(arguments: unreadable)
    func `what cannot be read says where`(_ text: String, _ position: Int) throws {
        let error = try #require(throws: ComputeError.self) { try ComputeExpression(text) }
        #expect(error.position == position, "\(error)")
    }

    private static let failing: [(String, Int)] = [
        ("1 / 0", 2), ("1 % 0", 2), ("huge * huge", 5), ("-huge - huge", 6), ("'a' + 1", 4), ("'a' * 2", 4), ("!1", 0), ("1 && true", 2),
        ("-'a'", 0),
        ("1 < 'a'", 2), ("[1] < [2]", 4), ("upper(1)", 0), ("sum(['a'])", 0), ("sqrt(-1)", 0), ("pow(0, -1)", 0), ("pow(huge, 2)", 0),
        ("number('x')", 0),
        ("min([])", 0), ("name.x", 4), ("sort([1, 'a'])", 0), ("split('a', '')", 0), ("repeat('a', -1)", 0), ("round(1, 99)", 0),
        ("vip[0]", 3), ("text([])", 0),
    ]

    @Test(arguments: failing)
    func `what comes to nothing says where`(_ text: String, _ position: Int) throws {
        let error = try #require(throws: ComputeError.self) { _ = try Self.evaluate(text) }
        #expect(error.position == position, "\(error)")
    }

    private static func many(_ text: String, _ count: Int, _ end: String) -> String { String(repeating: text, count: count) + end }

    private static let grown: String = {
        var text = "'aaaaaaaaaaaaaaaa'"
        for _ in 0..<12 { text = "replace(\(text), 'a', 'aaaaaaaa')" }
        return "length(\(text))"
    }()

    private static let wide: String = {
        let list = [String](repeating: "split(repeat('a', 900), 'a')", count: 60)
        return "concat(" + list.joined(separator: ",") + ")"
    }()

    private static let tooLarge: [String] = [
        "repeat('aaaaaaaaaa', 1000000)", "repeat(repeat('a', 1000), 10000)", "replace(repeat('a', 1000), 'a', repeat('b', 2000))",
        "join(split(repeat('a,', 100000), ','), repeat('x', 1000))", many("(", 100, "1"), many("-", 100, "1"), many("[", 100, "1"),
        many("1+", 2000, "1"), many("a.", 200, "a"), many("a", 9000, ""),
        grown, wide,
    ]

    @Test(arguments: tooLarge)
    func `what would grow beyond its bounds is refused`(_ text: String) {
        #expect(throws: ComputeError.self) { _ = try Self.evaluate(text) }
    }

    @Test func `random sums come to what Swift makes of them`() throws {
        var generator = SeededGenerator(seed: 11)
        func make(_ depth: Int) -> (String, Double)? {
            if depth == 0 || Int.random(in: 0...3, using: &generator) == 0 {
                let value = Double(Int.random(in: 0...1000, using: &generator)) / 8
                return ("\(value)", value)
            }
            guard let (left, a) = make(depth - 1), let (right, b) = make(depth - 1) else { return nil }
            switch Int.random(in: 0...3, using: &generator) {
            case 0: return ("(\(left) + \(right))", a + b)
            case 1: return ("(\(left) - \(right))", a - b)
            case 2: return ("(\(left) * \(right))", a * b)
            default: return b == 0 ? nil : ("(\(left) / \(right))", a / b)
            }
        }
        var compared = 0
        for _ in 0..<300 {
            guard let (text, value) = make(5), value.isFinite else { continue }
            let result = try Self.evaluate(text)
            #expect(Double(result) == value, "\(text)")
            compared += 1
        }
        #expect(compared > 100)
    }

    @Test func `garbage is refused or evaluated, and never more`() {
        var generator = SeededGenerator(seed: 3)
        let words = [
            "price", "tags", "order", "'a'", "1", "0", "-", "+", "*", "/", "%", "(", ")", "[", "]", "{", "}", ",", ".", "?", ":", "&&",
            "||", "!", "==",
            "<", "??", "sum", "concat", "slice", "repeat", "round(", "number(", "\\", "\"", "é", "1e9", "null", "true",
        ]
        var evaluated = 0
        for _ in 0..<20_000 {
            var text = ""
            for _ in 0..<Int.random(in: 1...12, using: &generator) { text += words.randomElement(using: &generator) ?? "" }
            if let result = try? Self.evaluate(text) {
                evaluated += 1
                #expect((try? RawJSON(validating: Array(result.utf8))) != nil, "\(text) gave \(result)")
            }
        }
        #expect(evaluated > 100)
    }
}
