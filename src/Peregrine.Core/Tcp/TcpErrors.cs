// Soft errors as a byte in the TCB, and back: what ICMP reported while the network may still recover (RFC 9293 §3.9.2.2).
using System.Net.Sockets;
using Peregrine.Core.Ip;

namespace Peregrine.Core.Tcp;

internal static class TcpErrors
{
    internal const byte NetworkUnreachable = 1, HostUnreachable = 2, Refused = 3, NoProtocol = 4, NoRoute = 5, HostDown = 6;

    /// <summary>Notes a soft error: the TCB has room for three, <see cref="TcpDetails"/> for its name.</summary>
    internal static void Note(TcpContext x, TcbRef t, IcmpErrorKind kind)
    {
        var soft = ToSoft(kind, x.SettingsOf(t).ConnectErrors);
        t.K.SoftError = soft <= Refused ? soft : HostUnreachable;
        if (x.Details is { } details) details.Of(x.Tcbs.IndexOf(t)).SoftError = soft;
    }

    /// <summary>The soft error that was noted last; Success for none.</summary>
    internal static SocketError SoftOf(TcpContext x, TcbRef t)
    {
        if (t.K.SoftError == 0) return SocketError.Success;
        var soft = x.Details is { } details ? details.Of(x.Tcbs.IndexOf(t)).SoftError : (byte)0;
        return FromSoft(t.K.SoftError == HostUnreachable && soft > Refused ? soft : t.K.SoftError);
    }

    private static byte ToSoft(IcmpErrorKind kind, TcpConnectErrors errors) => kind switch
    {
        IcmpErrorKind.NetUnreachable => NetworkUnreachable,
        IcmpErrorKind.PortUnreachable => Refused,
        _ when errors != TcpConnectErrors.All => HostUnreachable,
        // As Linux names them.
        IcmpErrorKind.NetProhibited => NetworkUnreachable,
        IcmpErrorKind.ProtocolUnreachable => NoProtocol,
        IcmpErrorKind.SourceRouteFailed => NoRoute,
        IcmpErrorKind.HostUnknown => HostDown,
        _ => HostUnreachable,
    };

    internal static SocketError OfConnect(IcmpErrorKind kind, TcpConnectErrors errors) => kind switch
    {
        _ when errors == TcpConnectErrors.All => FromSoft(kind == IcmpErrorKind.ParameterProblem ? Refused : ToSoft(kind, errors)),
        IcmpErrorKind.NetUnreachable => SocketError.NetworkUnreachable,
        IcmpErrorKind.HostUnreachable or IcmpErrorKind.HostUnknown or IcmpErrorKind.TimeExceeded or IcmpErrorKind.ReassemblyTimeExceeded => SocketError.HostUnreachable,
        _ => SocketError.ConnectionRefused,
    };

    private static SocketError FromSoft(byte soft) => soft switch
    {
        NetworkUnreachable => SocketError.NetworkUnreachable,
        Refused => SocketError.ConnectionRefused,
        NoProtocol => SocketError.ProtocolOption,
        NoRoute => SocketError.OperationNotSupported,
        HostDown => SocketError.HostDown,
        _ => SocketError.HostUnreachable,
    };
}
