import Testing

@testable import ModelProviders

@Suite struct WireNamesTests {
    @Test("names that a vendor refuses are spelled in its alphabet, and come back as they were")
    func dotsAreReplaced() {
        let names = WireNames(["fs.read", "uname", "fs_read", "fs-read"])
        #expect(names.wireName("uname") == "uname")
        #expect(names.wireName("fs_read") == "fs_read", "a name that is fine keeps itself")
        #expect(names.wireName("fs.read") == "fs_read_2")
        for name in ["fs.read", "uname", "fs_read", "fs-read"] { #expect(names.originalName(names.wireName(name)) == name) }
        #expect(names.originalName("made_up") == "made_up")
    }

    @Test("a name of 64 bytes that collides still fits the vendor's bound")
    func longNamesFit() {
        let plain = String(repeating: "a", count: 63) + "_"
        let dotted = String(repeating: "a", count: 63) + "."
        let names = WireNames([dotted, plain])
        #expect(names.wireName(plain) == plain)
        #expect(names.wireName(dotted).utf8.count == 64)
        #expect(names.originalName(names.wireName(dotted)) == dotted)
    }
}
