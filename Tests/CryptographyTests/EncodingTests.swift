import Cryptography
import Testing

struct EncodingTests {
    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func `base 64 is written and read as published`(text: String, encoded: String) {
        let bytes = Array(text.utf8)
        #expect(Base64.encode(bytes) == encoded)
        #expect(Base64.decode(encoded) == bytes)
        let bare = String(encoded.prefix { $0 != "=" })
        #expect(Base64URL.encode(bytes) == bare)
        #expect(Base64URL.decode(bare) == bytes)
    }

    @Test func `each base 64 has its own two letters`() {
        let bytes: [UInt8] = [0xFB, 0xFF, 0xBF]
        #expect(Base64.encode(bytes) == "+/+/")
        #expect(Base64URL.encode(bytes) == "-_-_")
        #expect(Base64.decode("-_-_") == nil)
        #expect(Base64URL.decode("+/+/") == nil)
    }

    @Test(arguments: ["Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "=", "Zm 9", "Zm9v\n", "Zm9é"])
    func `base 64 that is not the one text for its bytes is refused`(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test(arguments: ["Zg==", "Zh", "Zm9", "Z", "Zm9vY", "Zm 9", "Zm9v="])
    func `base 64 for addresses has no padding and no stray bits`(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test func `hex is written in lower case and read in either`() {
        #expect(Hex.encode([0x00, 0x0F, 0xA5, 0xFF]) == "000fa5ff")
        #expect(Hex.decode("000fA5Ff") == [0x00, 0x0F, 0xA5, 0xFF])
        #expect(Hex.decode("") == [])
        for text in ["0", "0g", "0x", " 0", "é"] { #expect(Hex.decode(text) == nil) }
    }

    @Test func `random bytes survive every encoding`() {
        for count in 0..<70 {
            let bytes = SecureRandom.bytes(count)
            #expect(bytes.count == count)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
            #expect(Hex.decode(Hex.encode(bytes)) == bytes)
        }
    }

    @Test func `the checksum is the one of zlib`() {
        #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(CRC32.checksum("The quick brown fox jumps over the lazy dog".utf8) == 0x414F_A339)
        #expect(CRC32.checksum([]) == 0)
    }

    @Test func `base 62 writes the most significant digit first`() {
        #expect(Base62.encode(0 as UInt32, width: 6) == "000000")
        #expect(Base62.encode(61 as UInt32, width: 6) == "00000z")
        #expect(Base62.encode(62 as UInt32, width: 6) == "000010")
        #expect(Base62.encode(UInt32.max, width: 6) == "4gfFC3")
        #expect(Base62.encode([UInt8](repeating: 0xFF, count: 16), width: 22) == "7n42DGM5Tflk9n8mt7Fhc7")
        #expect(Base62.encode([0, 0, 36], width: 3) == "00a")
        #expect(Base62.encode([], width: 2) == "00")
    }

    @Test func `random digits are uniform and never repeat`() {
        var counts: [Character: Int] = [:]
        let text = Base62.random(count: 62_000)
        #expect(text.count == 62_000)
        for character in text { counts[character, default: 0] += 1 }
        #expect(counts.count == 62)
        // Mean 1000, standard deviation 31: eight of them never happen by chance; folding 256 into 62 would show as 1,210 against 968.
        #expect(counts.values.allSatisfy { (750...1_250).contains($0) })
        let early = "01234567".map { counts[$0] ?? 0 }.reduce(0, +)
        #expect((7_300...8_700).contains(early))
        #expect(Set((0..<1_000).map { _ in Base62.random(count: 22) }).count == 1_000)
        #expect(Base62.random(count: 0).isEmpty)
    }

    @Test func `equality in constant time is equality`() {
        #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
        #expect(constantTimeEquals([], []))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
    }
}
