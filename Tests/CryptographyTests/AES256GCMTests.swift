@testable import Cryptography
import Testing

struct AES256GCMTests {
    private struct Vector: Sendable {
        let key, nonce, plaintext, authenticated, ciphertext, tag: String
    }

    /// Test cases 13 to 16 of the GCM submission to NIST.
    private static let vectors = [
        Vector(
            key: String(repeating: "0", count: 64), nonce: String(repeating: "0", count: 24), plaintext: "", authenticated: "",
            ciphertext: "", tag: "530f8afbc74536b9a963b4f1c4cb738b"),
        Vector(
            key: String(repeating: "0", count: 64), nonce: String(repeating: "0", count: 24),
            plaintext: String(repeating: "0", count: 32), authenticated: "", ciphertext: "cea7403d4d606b6e074ec5d3baf39d18",
            tag: "d0d1c8a799996bf0265b98b5d48ab919"),
        Vector(
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
            plaintext:
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            authenticated: "",
            ciphertext:
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            tag: "b094dac5d93471bdec1a502270e3cc6c"),
        Vector(
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
            plaintext:
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            authenticated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            ciphertext:
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
    ]

    @Test func `the published cases seal and open as published`() throws {
        for vector in Self.vectors {
            let key = try #require(Hex.decode(vector.key))
            let nonce = try #require(Hex.decode(vector.nonce))
            let plaintext = try #require(Hex.decode(vector.plaintext))
            let authenticated = try #require(Hex.decode(vector.authenticated))
            let sealed = try AES256GCM.seal(plaintext, key: key, nonce: nonce, authenticating: authenticated)
            #expect(Hex.encode(sealed) == vector.nonce + vector.ciphertext + vector.tag)
            #expect(try AES256GCM.open(sealed, key: key, authenticating: authenticated) == plaintext)
        }
    }

    @Test func `each seal has its own nonce`() throws {
        let key = SecureRandom.bytes(32)
        let first = try AES256GCM.seal([1, 2, 3], key: key)
        let second = try AES256GCM.seal([1, 2, 3], key: key)
        #expect(first.count == 12 + 3 + 16)
        #expect(first.prefix(12) != second.prefix(12))
        #expect(try AES256GCM.open(second, key: key) == [1, 2, 3])
    }

    @Test func `whatever was altered does not open`() throws {
        let key = SecureRandom.bytes(32)
        let sealed = try AES256GCM.seal(Array("secret".utf8), key: key, authenticating: Array("tenant".utf8))
        for index in sealed.indices {
            var altered = sealed
            altered[index] ^= 0x80
            #expect(throws: CryptographyError.self) { try AES256GCM.open(altered, key: key, authenticating: Array("tenant".utf8)) }
        }
        #expect(throws: CryptographyError.self) { try AES256GCM.open(sealed, key: key, authenticating: Array("other".utf8)) }
        #expect(throws: CryptographyError.self) {
            try AES256GCM.open(sealed, key: SecureRandom.bytes(32), authenticating: Array("tenant".utf8))
        }
        for length in [0, 12, 27] {
            #expect(throws: CryptographyError.self) { try AES256GCM.open(Array(sealed.prefix(length)), key: key) }
        }
        #expect(throws: CryptographyError.self) { try AES256GCM.seal([1], key: [1, 2, 3]) }
        #expect(throws: CryptographyError.self) { try AES256GCM.open(sealed, key: []) }
    }
}
