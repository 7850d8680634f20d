public import Foundation

/// What `device.swift` of docs/CLIENTS.md uses of Apple's CryptoKit, so that the compiler can check the program where that is not. It signs
/// nothing.
public enum Curve25519 {
    public enum Signing {
        public struct PrivateKey: Sendable {
            public init(rawRepresentation: some ContiguousBytes) throws {}
            public func signature(for data: some DataProtocol) throws -> Data { Data() }
        }
    }
}
