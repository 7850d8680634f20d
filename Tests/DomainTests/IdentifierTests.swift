import Domain
import FoundationEssentials
import Testing

struct IdentifierTests {
    @Test func `a later id sorts after an earlier one`() {
        let start = Timestamp.now().millisecondsSinceUnixEpoch
        let ids = (0..<200).map { UUID.version7(now: Timestamp(millisecondsSinceUnixEpoch: start + Int64($0) * 7)) }
        #expect(ids == ids.sorted())
        #expect(ids.map(\.lowercased) == ids.map(\.lowercased).sorted())
    }

    @Test func `an id says version 7 and the variant of RFC 9562 and carries its millisecond`() {
        let moment: Int64 = 0x0192_ABCD_EF01
        for _ in 0..<100 {
            let text = Array(UUID.version7(now: Timestamp(millisecondsSinceUnixEpoch: moment)).lowercased)
            #expect(String(text[0..<8]) + String(text[9..<13]) == "0192abcdef01")
            #expect(text[14] == "7")
            #expect("89ab".contains(text[19]))
        }
    }

    @Test func `ids made in one millisecond differ`() {
        let now = Timestamp.now()
        #expect(Set((0..<10_000).map { _ in UUID.version7(now: now) }).count == 10_000)
    }

    @Test func `a moment before 1970 counts as 1970`() {
        #expect(UUID.version7(now: Timestamp(millisecondsSinceUnixEpoch: -5)).lowercased.hasPrefix("00000000-0000-7"))
    }

    @Test func `an id is read from its 36 characters in either case and shown in lower case`() throws {
        let id = RunID.generate()
        #expect(RunID(id.description) == id)
        #expect(RunID(id.description.uppercased()) == id)
        #expect(id.description == id.description.lowercased())
        #expect(id.uuid.uuidString.lowercased() == id.description)
    }

    @Test(arguments: [
        "", "x", "0192abcd-ef01-7000-8000-00000000000", "0192abcd-ef01-7000-8000-0000000000000", "{0192abcd-ef01-7000-8000-00000000000}",
        "0192abcdef0170008000000000000000", "0192abcd-ef01-7000-8000-00000000000g", "0192abcd_ef01_7000_8000_000000000000",
        "é192abcd-ef01-7000-8000-0000000000",
    ])
    func `anything else is no id`(text: String) {
        #expect(RunID(text) == nil)
    }

    @Test(arguments: [
        ("a", true), ("acme", true), ("a-b-9", true), (String(repeating: "a", count: 63), true), ("", false), ("-a", false), ("a-", false),
        ("A", false), ("a_b", false), ("ä", false), (String(repeating: "a", count: 64), false),
    ])
    func `a slug is lower case letters, digits and inner dashes`(text: String, isValid: Bool) {
        #expect(Slug.isValid(text) == isValid)
    }
}
