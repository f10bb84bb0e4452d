// Soft errors as a byte in the TCB, and back: what ICMP reported while the network may still recover (RFC 9293 §3.9.2.2).
using System.Net.Sockets;
using Peregrine.Core.Ip;

namespace Peregrine.Core.Tcp;

internal static class TcpErrors
{
    internal const byte NetworkUnreachable = 1, HostUnreachable = 2, Refused = 3;

    internal static byte ToSoft(IcmpErrorKind kind) => kind switch
    {
        IcmpErrorKind.NetUnreachable => NetworkUnreachable,
        IcmpErrorKind.PortUnreachable => Refused,
        _ => HostUnreachable,
    };

    internal static SocketError OfConnect(IcmpErrorKind kind, TcpConnectErrors errors) => kind switch
    {
        // Linux tells hosts that are kept from us as hosts out of reach.
        IcmpErrorKind.AdminProhibited when errors == TcpConnectErrors.All => SocketError.HostUnreachable,
        IcmpErrorKind.NetUnreachable => SocketError.NetworkUnreachable,
        IcmpErrorKind.HostUnreachable or IcmpErrorKind.TimeExceeded or IcmpErrorKind.ReassemblyTimeExceeded => SocketError.HostUnreachable,
        _ => SocketError.ConnectionRefused,
    };

    internal static SocketError FromSoft(byte soft) => soft switch
    {
        NetworkUnreachable => SocketError.NetworkUnreachable,
        Refused => SocketError.ConnectionRefused,
        _ => SocketError.HostUnreachable,
    };
}
