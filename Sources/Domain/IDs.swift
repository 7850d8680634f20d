public import FoundationEssentials

/// A UUID that knows what it names, so that a run's id cannot be passed where a tenant's belongs.
public struct EntityID<Entity>: Hashable, Sendable, CustomStringConvertible, Comparable {
    public let uuid: UUID

    public init(_ uuid: UUID) { self.uuid = uuid }

    /// Accepts the 36-character form only (RFC 9562 §4); nil for anything else.
    public init?(_ text: some StringProtocol) {
        guard let uuid = UUID(hexadecimal: text) else { return nil }
        self.uuid = uuid
    }

    /// A new time-ordered id (UUIDv7, RFC 9562 §5.7).
    public static func generate() -> Self { Self(UUID.version7()) }

    /// Lower case, 36 characters.
    public var description: String { uuid.lowercased }

    public static func < (left: Self, right: Self) -> Bool { left.uuid < right.uuid }
}

public enum TenantEntity {}
public enum APIKeyEntity {}
public enum AgentEntity {}
public enum AgentVersionEntity {}
public enum RunEntity {}
public enum CallEntity {}
public enum DeviceEntity {}
public enum DeviceSessionEntity {}
public enum EnrollmentTokenEntity {}
public enum RunTokenEntity {}
public enum ReplicaEntity {}
public enum AuditRowEntity {}

public typealias TenantID = EntityID<TenantEntity>
public typealias APIKeyID = EntityID<APIKeyEntity>
public typealias AgentID = EntityID<AgentEntity>
public typealias AgentVersionID = EntityID<AgentVersionEntity>
public typealias RunID = EntityID<RunEntity>
public typealias CallID = EntityID<CallEntity>
public typealias DeviceID = EntityID<DeviceEntity>
public typealias DeviceSessionID = EntityID<DeviceSessionEntity>
public typealias EnrollmentTokenID = EntityID<EnrollmentTokenEntity>
public typealias RunTokenID = EntityID<RunTokenEntity>
public typealias AuditRowID = EntityID<AuditRowEntity>
/// One gateway process, from its start to its end.
public typealias ReplicaID = EntityID<ReplicaEntity>

extension UUID {
    /// UUIDv7: 48 bits of Unix milliseconds, then random bits. Run ids carry their month, which is what partitions the log.
    public static func version7(now: Timestamp = .now()) -> UUID {
        var bytes = UUID().uuid
        let milliseconds = UInt64(max(0, now.millisecondsSinceUnixEpoch))
        bytes.0 = UInt8(truncatingIfNeeded: milliseconds >> 40)
        bytes.1 = UInt8(truncatingIfNeeded: milliseconds >> 32)
        bytes.2 = UInt8(truncatingIfNeeded: milliseconds >> 24)
        bytes.3 = UInt8(truncatingIfNeeded: milliseconds >> 16)
        bytes.4 = UInt8(truncatingIfNeeded: milliseconds >> 8)
        bytes.5 = UInt8(truncatingIfNeeded: milliseconds)
        bytes.6 = (bytes.6 & 0x0F) | 0x70
        bytes.8 = (bytes.8 & 0x3F) | 0x80
        return UUID(uuid: bytes)
    }

    /// The 36-character form, in either case. Foundation's own reader goes by `sscanf`, which costs more than the rest of a look-up.
    init?(hexadecimal text: some StringProtocol) {
        var uuid: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        var digits = 0
        var place = 0
        let isWhole = withUnsafeMutableBytes(of: &uuid) { bytes in
            for character in text.utf8 {
                guard place < 36 else { return false }
                defer { place += 1 }
                if place == 8 || place == 13 || place == 18 || place == 23 {
                    guard character == UInt8(ascii: "-") else { return false }
                    continue
                }
                let value: UInt8
                switch character {
                case 48...57: value = character - 48
                case 65...70: value = character - 55
                case 97...102: value = character - 87
                default: return false
                }
                bytes[digits / 2] = bytes[digits / 2] << 4 | value
                digits += 1
            }
            return place == 36
        }
        guard isWhole else { return nil }
        self.init(uuid: uuid)
    }

    /// `uuidString` in lower case, as every answer and every Redis key spells it.
    public var lowercased: String {
        withUnsafeBytes(of: uuid) { bytes in
            String(unsafeUninitializedCapacity: 36) { text in
                var position = 0
                for (index, byte) in bytes.enumerated() {
                    if index == 4 || index == 6 || index == 8 || index == 10 {
                        text[position] = UInt8(ascii: "-")
                        position += 1
                    }
                    text[position] = UUID.digit(byte >> 4)
                    text[position + 1] = UUID.digit(byte & 0x0F)
                    position += 2
                }
                return position
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }
}
