import Foundation
import JSON
import Testing

struct FuzzTests {
    private static let seeds = [
        #"{"id":"01J9Z3","seq":1284,"type":"text.delta","data":{"text":"Hello, \"world\" \u00e9 \ud83d\ude00","i":3,"ok":true}}"#,
        #"[0,-1,2.5,1e10,-3.25E-2,null,true,false,"",[],{},[[[1]]],{"a":{"b":[]}}]"#,
        #"{"é":"ü😀","list":[{"x":1},{"x":2}],"n":12345678901234567890,"s":"\b\f\n\r\t\/\\"}"#,
        " [ 1 , { \"k\" : \"v\" } ,\r\n\t\"tail\" ] ",
    ].map { Array($0.utf8) }

    private static let tokens = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "0", "-", "1e", ".5", "true", "null", " ", "\u{0}", "é", "😀",
    ].map { Array($0.utf8) }

    @Test func `mutated documents never crash, and what is accepted Foundation reads alike`() throws {
        var random = SplitMix64(state: 20_240_607)
        var accepted = 0
        for round in 0..<15_000 {
            var text = Self.seeds[round % Self.seeds.count]
            for _ in 0..<Int.random(in: 1...3, using: &random) { Self.mutate(&text, using: &random) }
            if try Self.check(text) { accepted += 1 }
        }
        // A fuzzer whose every text is refused at the first byte would prove nothing.
        #expect(accepted > 500)
    }

    @Test func `random bytes and random tokens never crash`() throws {
        var random = SplitMix64(state: 7)
        for _ in 0..<10_000 {
            let count = Int.random(in: 0...40, using: &random)
            _ = try Self.check((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
            _ = try Self.check((0..<count).flatMap { _ in Self.tokens[Int.random(in: 0..<Self.tokens.count, using: &random)] })
        }
    }

    @Test func `every prefix of a valid document is refused`() throws {
        for seed in Self.seeds {
            for length in 0..<seed.count {
                // Space at the end may be missing.
                guard seed[length...].contains(where: { $0 != 0x20 }) else { continue }
                #expect(throws: JSONError.self) { try RawJSON(validating: Array(seed[..<length])) }
            }
        }
    }

    private static func mutate(_ text: inout [UInt8], using random: inout SplitMix64) {
        guard !text.isEmpty else { return }
        let position = Int.random(in: 0..<text.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: text[position] = UInt8.random(in: 0...255, using: &random)
        case 1: text[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 2: text.remove(at: position)
        case 3: text.insert(contentsOf: tokens[Int.random(in: 0..<tokens.count, using: &random)], at: position)
        case 4: text[position] = UInt8.random(in: 0x30...0x39, using: &random)
        default:
            let end = min(text.count, position + Int.random(in: 1...8, using: &random))
            text.insert(contentsOf: text[position..<end], at: Int.random(in: 0...text.count, using: &random))
        }
    }

    /// True when it was accepted.
    private static func check(_ text: [UInt8]) throws -> Bool {
        guard let document = try? JSONDocument(parsing: text) else { return false }
        guard isComparable(document.root) else { return true }
        let value = try JSONSerialization.jsonObject(with: Data(text), options: [.fragmentsAllowed])
        #expect(agrees(document.root, value), "\(String(decoding: text, as: UTF8.self))")
        let canonical = try? document.root.canonical()
        if let canonical { #expect(try JSONDocument(parsing: canonical).root.canonical() == canonical) }
        return true
    }

    /// Foundation refuses numbers beyond a double, and keeps keys by canonical equivalence instead of by their code points.
    private static func isComparable(_ node: JSONNode) -> Bool {
        switch node.kind {
        case .number: node.double != nil
        case .array: node.elements.allSatisfy(isComparable)
        case .object: Set(node.members.map(\.key)).count == node.count && node.members.allSatisfy { isComparable($0.value) }
        default: true
        }
    }
}
