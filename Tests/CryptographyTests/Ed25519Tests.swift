import Cryptography
import Testing

/// RFC 8032 §7.1.
struct Ed25519Tests {
    private struct Vector: Sendable {
        let secret, publicKey, message, signature: String
    }

    private static let vectors = [
        Vector(
            secret: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", message: "",
            signature:
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        Vector(
            secret: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", message: "72",
            signature:
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        Vector(
            secret: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", message: "af82",
            signature:
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ]

    private func decode(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

    @Test func `the published keys sign and verify as published`() throws {
        for vector in Self.vectors {
            let key = try Ed25519.PrivateKey(rawRepresentation: decode(vector.secret))
            #expect(Hex.encode(key.publicKey.rawRepresentation) == vector.publicKey)
            #expect(key.rawRepresentation == (try decode(vector.secret)))
            let message = try decode(vector.message)
            let signature = try key.sign(message)
            #expect(Hex.encode(signature) == vector.signature)
            let publicKey = try Ed25519.PublicKey(rawRepresentation: decode(vector.publicKey))
            #expect(publicKey == key.publicKey)
            #expect(publicKey.isValid(signature: signature, for: message))
        }
    }

    @Test func `an altered message, signature or key does not verify`() throws {
        let key = try Ed25519.PrivateKey()
        let message = Array("publish".utf8)
        let signature = try key.sign(message)
        #expect(key.publicKey.isValid(signature: signature, for: message))
        #expect(!key.publicKey.isValid(signature: signature, for: message + [0]))
        #expect(!(try Ed25519.PrivateKey().publicKey.isValid(signature: signature, for: message)))
        for index in [0, 31, 32, 63] {
            var altered = signature
            altered[index] ^= 1
            #expect(!key.publicKey.isValid(signature: altered, for: message))
        }
        #expect(!key.publicKey.isValid(signature: Array(signature.dropLast()), for: message))
        #expect(!key.publicKey.isValid(signature: [], for: message))
    }

    @Test func `a key of another length is refused`() {
        #expect(throws: CryptographyError.self) { try Ed25519.PrivateKey(rawRepresentation: [1, 2, 3]) }
        #expect(throws: CryptographyError.self) { try Ed25519.PublicKey(rawRepresentation: []) }
    }

    @Test func `one key signs from many tasks at once`() async throws {
        let key = try Ed25519.PrivateKey()
        let valid = try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<200 {
                group.addTask {
                    let message = Array("message \(index)".utf8)
                    return key.publicKey.isValid(signature: try key.sign(message), for: message)
                }
            }
            return try await group.reduce(true) { $0 && $1 }
        }
        #expect(valid)
    }
}
