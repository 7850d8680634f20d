import Cryptography
import Domain
import JSON
import Testing

struct SecretValuesTests {
    private static let value = "Pa$$w\"ord/+é 42"
    private static let values = SecretValues([Secret(name: "KEY", value: value, hosts: [])])

    private static func base64(_ text: String) -> String { Base64.encode(Array(text.utf8)) }

    private static let encoded: String = PercentEncoding.encode(value)
    private static let withPlus: String = encoded.replacing("%20", with: "+")

    private static let forms: [String] = [
        value, "before \(value) after", base64(value), base64("user:\(value)"), base64("a:\(value)"), base64("ab:\(value):more"),
        Base64URL.encode(Array(value.utf8)), Base64URL.encode(Array("xy\(value)zz".utf8)), Hex.encode(Array(value.utf8)),
        Hex.encode(Array(value.utf8)).uppercased(), encoded, "k=\(withPlus)", lowerHex,
    ]

    /// Percent-encoding with small digits, its letters as they are.
    private static let lowerHex: String = String(decoding: PercentEncoding.encode(value.utf8, isUpper: false), as: UTF8.self)

    @Test(arguments: forms) func `of a shortened text the beginning of a value at its end is cut, too`(_ text: String) {
        let bytes = Array(text.utf8)
        for end in 1..<bytes.count {
            let kept = Self.values.cut(from: Array(bytes[..<end]), isShortened: true)
            // What is left of it ends before the value begins: another byte of the text would change nothing.
            #expect(Self.values.cut(from: kept, isShortened: true) == kept)
            #expect(!(2...Self.value.utf8.count).contains { kept.suffix($0).elementsEqual(Self.value.utf8.prefix($0)) })
        }
        #expect(Self.values.cut(from: Array("said Pa$$w".utf8), isShortened: true) == Array("said ".utf8))
        #expect(Self.values.cut(from: Array("said Pa$$w".utf8), isShortened: false) == Array("said Pa$$w".utf8))
        #expect(SecretValues.none.cut(from: bytes, isShortened: true) == bytes)
    }

    @Test(arguments: forms)
    func `a value is found and cut in each form that tools give back`(_ text: String) {
        #expect(Self.values.occur(in: text))
        let cut = Self.values.cut(from: text)
        #expect(cut.contains("[secret KEY]"))
        #expect(!Self.values.occur(in: cut))
        // Nothing that decodes to the value is left.
        #expect(!cut.contains("ord/+"))
    }

    @Test func `what stands in a secret's place is not looked at again`() {
        // Each name holds eight times the next one's value: looked at again, ten of them would fill a machine's memory.
        let letters = Array("ABCDEFGHIJK")
        let chain = SecretValues(
            (0..<10).map {
                Secret(name: String(repeating: letters[$0 + 1], count: 64), value: String(repeating: letters[$0], count: 8), hosts: [])
            })
        #expect(chain.cut(from: "x AAAAAAAA y") == "x [secret \(String(repeating: "B", count: 64))] y")
        #expect(chain.cut(from: String(repeating: "A", count: 800)).utf8.count <= 100 * 74)
    }

    @Test func `values that overlap are cut as one`() {
        let values = SecretValues([Secret(name: "L", value: "abcdefghij", hosts: []), Secret(name: "S", value: "12abcdefgh", hosts: [])])
        #expect(values.cut(from: "<12abcdefghij>") == "<[secret S]>")
    }

    @Test func `JSON stays JSON, whatever a value holds and however it is escaped`() throws {
        let escaped = #"{"a":"Pa\u0024$w\"ord\/+\u00e9 42","b":[1,"x\#(Self.base64(Self.value))"],"Pa$$w\"ord/+é 42":null,"plain":"é\n"}"#
        let json = try RawJSON(validating: Array(escaped.utf8))
        let root = try Self.values.cut(from: json).document().root
        #expect(root["a"]?.string == "[secret KEY]")
        #expect(root["b"]?[1]?.string?.contains("[secret KEY]") == true)
        #expect(root["[secret KEY]"]?.isNull == true)
        #expect(root["plain"]?.string == "é\n")
        let number = SecretValues([Secret(name: "PIN", value: "12345678", hosts: [])])
        #expect(try number.cut(from: RawJSON("{\"n\":123456789.5,\"m\":7}")).document().root["n"]?.string == "[secret PIN]9.5")
        #expect(number.cut(from: RawJSON("{\"n\":1234567}")) == RawJSON("{\"n\":1234567}"))
    }

    private static let escapedA = SecretValues([Secret(name: "KEY", value: "ABCD-1234-é😀", hosts: [])])

    @Test(arguments: [
        #"{"error":"bad key \u0041BCD-1234-\u00e9\ud83d\ude00!"}"#, #"{"ABCD-12\u00334-é\uD83D\uDE00":1}"#, #""\u0041BCD-1234-é😀""#,
        #"{"broken":"\u0041BCD-1234-é😀""#, #"plain text \u0041\u0042CD\u002D1234-é😀 \q \u12 \ud800 \"#,
        #"{"twice":1,"twice":"\u0041BCD-1234-é😀"}"#,
    ])
    func `an answer that is shown holds no value, however its letters are escaped`(_ text: String) throws {
        let cut = String(decoding: Self.escapedA.cut(fromAnswer: Array(text.utf8), isShortened: false), as: UTF8.self)
        #expect(cut.contains("[secret KEY]") && !cut.contains("CD") && !cut.contains("1234"))
        if (try? JSONDocument(parsing: Array(text.utf8))) != nil {
            #expect(throws: Never.self) { try JSONDocument(parsing: Array(cut.utf8)) }
        }
        #expect(SecretValues.none.cut(fromAnswer: Array(text.utf8), isShortened: false) == Array(text.utf8))
    }

    @Test func `of a shortened answer the beginning of an escaped value at its end is cut, too`() {
        let escaped = Array(#"said \u0041BC\u0044-1234-\u00e9\ud83d\ude00"#.utf8)
        for end in 6..<escaped.count {
            let cut = String(decoding: Self.escapedA.cut(fromAnswer: Array(escaped[..<end]), isShortened: true), as: UTF8.self)
            #expect(!cut.contains("A") && !cut.contains("0041") && !cut.contains("BC"), "\(end): \(cut)")
        }
        // What begins no escape ends no search.
        let odd = String(decoding: Self.escapedA.cut(fromAnswer: Array(#"said \q\u0041BC"#.utf8), isShortened: true), as: UTF8.self)
        #expect(!odd.contains("0041") && !odd.contains("BC"), "\(odd)")
        // Where nothing of it stands, escapes stay as they were.
        let other = Array(#"said \u0061bc \n"#.utf8)
        #expect(Self.escapedA.cut(fromAnswer: other, isShortened: true) == other)
    }

    @Test func `no text is cut by chance, and none lets a value through`() {
        var generator = SeededGenerator(seed: 42)
        for _ in 0..<300 {
            let length = Int.random(in: 8...40, using: &generator)
            let bytes: [UInt8] = (0..<length).map { _ in UInt8.random(in: 33...126, using: &generator) }
            let value = String(decoding: bytes, as: UTF8.self)
            let values = SecretValues([Secret(name: "K", value: value, hosts: [])])
            let lead = String(repeating: "y", count: Int.random(in: 0...5, using: &generator))
            for text in [lead + value, Self.base64(lead + value + lead), Self.base64(value), PercentEncoding.encode(lead + value)] {
                #expect(values.cut(from: text) != text, "\(value) in \(text)")
            }
            let letters: [UInt8] = (0..<60).map { _ in UInt8.random(in: 97...122, using: &generator) }
            let other = String(decoding: letters, as: UTF8.self)
            #expect(values.cut(from: other) == other)
        }
    }

    @Test func `what is sealed opens for its tenant, name and hosts alone, under a key that is known`() throws {
        let old = try #require(MasterKey([UInt8](repeating: 1, count: 32)))
        let new = try #require(MasterKey([UInt8](repeating: 2, count: 32)))
        let tenant = TenantID.generate()
        let seal = SecretSeal(tenant: tenant, name: "KEY", hosts: ["a.test"])
        let sealed = try seal.seal(Self.value, MasterKeys(current: old))
        #expect(sealed.keyID == old.id && old.id != new.id)
        #expect(try seal.open(sealed, MasterKeys(current: new, others: [old])) == Self.value)
        #expect(throws: CryptographyError.self) { try seal.open(sealed, MasterKeys(current: new)) }
        for other in [
            SecretSeal(tenant: .generate(), name: "KEY", hosts: ["a.test"]), SecretSeal(tenant: tenant, name: "KEY2", hosts: ["a.test"]),
            SecretSeal(tenant: tenant, name: "KEY", hosts: ["a.test", "evil.test"]), SecretSeal(tenant: tenant, name: "KEY", hosts: []),
        ] {
            #expect(throws: CryptographyError.self) { try other.open(sealed, MasterKeys(current: old)) }
        }
        #expect(MasterKey([1, 2, 3]) == nil)
        #expect(!"\(old)".contains("AQEB") && !String(reflecting: sealed.bytes).isEmpty)
    }
}
