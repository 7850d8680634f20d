import Cryptography
import Domain
import JSON
import Storage

extension DeviceRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("deviceId", string: deviceID.description)
        writer.field("deviceKey", string: deviceKey)
        writer.field("publicKey", string: Base64URL.encode(publicKey))
        writer.field("displayName", stringOrNull: displayName)
        writer.field("platform", stringOrNull: platform)
        writer.field("labels", raw: Labels.json(labels))
        if let allowedTools { writer.field("allowedTools", strings: allowedTools) } else { writer.field("allowedTools", raw: .null) }
        writer.field("capabilities", raw: capabilities)
        writer.field("status", string: status.rawValue)
        writer.field("online", bool: isOnline)
        writer.field("createdAt", time: createdAt)
        writer.field("lastSeenAt", timeIfPresent: lastSeenAt)
    }
}

extension DeviceSessionRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("sessionId", string: sessionID.description)
        writer.field("deviceId", string: deviceID.description)
        writer.field("replicaId", string: replicaID.description)
        writer.field("remoteAddress", stringIfPresent: remoteAddress)
        writer.field("connectedAt", time: connectedAt)
        writer.field("lastHeartbeatAt", time: lastHeartbeatAt)
        writer.field("disconnectedAt", timeIfPresent: disconnectedAt)
        writer.field("closeReason", stringIfPresent: closeReason)
    }
}
