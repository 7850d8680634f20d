/// The canonical bytes that a device signs with its Ed25519 key: UTF-8 lines joined by `\n`.
public enum DeviceProof {
    public static func enrollment(audience: String, tokenID: String, publicKey: String, deviceKey: String) -> [UInt8] {
        Array(["hsafa.device.enroll.v1", audience, tokenID, publicKey, deviceKey].joined(separator: "\n").utf8)
    }

    public static func connection(audience: String, deviceID: String, nonce: String, timestamp: String) -> [UInt8] {
        Array(["hsafa.device.connect.v1", audience, deviceID, nonce, timestamp].joined(separator: "\n").utf8)
    }

    /// Device keys are names that a device keeps for life: 1 to 128 visible ASCII characters. No line break can enter a proof.
    public static func isValidDeviceKey(_ key: String) -> Bool {
        (1...128).contains(key.utf8.count) && key.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}

public enum DeviceStatus: String, Sendable, Hashable, CaseIterable {
    case pending, active, revoked
}

/// Close codes of the device socket (RFC 6455 §7.4.2: 4000–4999 are the application's).
public enum DeviceCloseCode {
    public static let protocolViolation: UInt16 = 4400
    public static let unauthorized: UInt16 = 4401
    public static let revoked: UInt16 = 4403
    public static let registrationTimeout: UInt16 = 4408
    public static let takenOver: UInt16 = 4409
    public static let heartbeatMissed: UInt16 = 4410
    public static let goingAway: UInt16 = 1001
    public static let tooManyConnections: UInt16 = 4429
}
