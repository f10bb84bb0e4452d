// Constants in calls, where a number is needed rather than a name. What has another number elsewhere is only compared by name.
using Peregrine.Posix;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal static class Constants
{
    internal static long NonBlock(PosixManners manners) => manners.IsFreeBsd ? 0x4 : 0x800;

    internal static long ValueOf(Language.ScriptValue value) => value switch
    {
        Number number => number.Value,
        Or or => or.Parts.Aggregate(0L, static (sum, part) => sum | ValueOf(part)),
        List { Items: [var only] } => ValueOf(only),
        Call { Function: "htons" or "htonl", Arguments: [var only] } => ValueOf(only),
        Name name => Named(name.Value),
        Ellipsis => throw new NotApplicableException("a number that is left open"),
        _ => throw new NotApplicableException($"'{value}' where a number is needed"),
    };

    /// <summary>Bits of SO_TIMESTAMPING (linux/net_tstamp.h).</summary>
    internal const long StampKeys = 1 << 7;

    private static long Named(string name) => name switch
    {
        "NULL" or "INADDR_ANY" or "O_RDONLY" => 0,
        "O_RDWR" => 2,
        "O_NONBLOCK" => 0x800,
        "FD_CLOEXEC" => 1,
        "POLLIN" or "EPOLLIN" => (long)PosixEvents.In,
        "POLLPRI" or "EPOLLPRI" => (long)PosixEvents.Priority,
        "POLLOUT" or "EPOLLOUT" => (long)PosixEvents.Out,
        "POLLERR" or "EPOLLERR" => (long)PosixEvents.Error,
        "POLLHUP" or "EPOLLHUP" => (long)PosixEvents.HangUp,
        "POLLRDHUP" or "EPOLLRDHUP" => (long)PosixEvents.ReadHangUp,
        "EPOLLET" => 1L << 31,
        "EPOLLWAKEUP" => 1L << 29,
        "EPOLLEXCLUSIVE" => 1L << 28,
        "POLLRDNORM" or "EPOLLRDNORM" => 0x40,
        "POLLWRNORM" or "EPOLLWRNORM" => 0x100,
        "EPOLLONESHOT" => 1L << 30,
        "SOF_TIMESTAMPING_TX_HARDWARE" => 1,
        "SOF_TIMESTAMPING_TX_SOFTWARE" => 1 << 1,
        "SOF_TIMESTAMPING_RX_HARDWARE" => 1 << 2,
        "SOF_TIMESTAMPING_RX_SOFTWARE" => 1 << 3,
        "SOF_TIMESTAMPING_SOFTWARE" => 1 << 4,
        "SOF_TIMESTAMPING_RAW_HARDWARE" => 1 << 6,
        "SOF_TIMESTAMPING_OPT_ID" => 1 << 7,
        "SOF_TIMESTAMPING_TX_SCHED" => 1 << 8,
        "SOF_TIMESTAMPING_TX_ACK" => 1 << 9,
        "SOF_TIMESTAMPING_OPT_CMSG" => 1 << 10,
        "SOF_TIMESTAMPING_OPT_TSONLY" => 1 << 11,
        "SOF_TIMESTAMPING_OPT_STATS" => 1 << 12,
        "SOF_TIMESTAMPING_OPT_ID_TCP" => 1 << 16,
        // RFC 2474, RFC 4594: class selectors and the usual code points, shifted into the traffic class.
        _ when name.StartsWith("IPTOS_DSCP_CS", StringComparison.Ordinal) && char.IsAsciiDigit(name[^1]) => (name[^1] - '0') << 5,
        // RFC 2597: class n, drop precedence m.
        _ when name.StartsWith("IPTOS_DSCP_AF", StringComparison.Ordinal) && name is [.., >= '1' and <= '4', >= '1' and <= '3'] => ((name[^2] - '0') << 5) | ((name[^1] - '0') << 3),
        "IPTOS_LOWDELAY" => 0x10,
        "IPTOS_THROUGHPUT" => 8,
        "IPTOS_RELIABILITY" => 4,
        "IPTOS_DSCP_VA" => 0xB0,
        "IPTOS_DSCP_EF" => 0xB8,
        "AF_INET" => 2,
        "AF_INET6" => 10,
        "SOCK_STREAM" => 1,
        "SOCK_DGRAM" => 2,
        "IPPROTO_TCP" => 6,
        "IPPROTO_UDP" => 17,
        _ => throw new NotApplicableException($"the constant {name} is not understood"),
    };
}
