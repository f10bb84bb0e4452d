// The numbers that Linux gives to names in calls: generic ones, which are the same on x64 and Arm64 (include/uapi).
using Peregrine.Scripting.Running;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal static class KernelNumbers
{
    private static readonly Dictionary<string, long> s_names = new()
    {
        ["AF_UNSPEC"] = 0, ["AF_INET"] = 2, ["AF_INET6"] = 10, ["SOCK_STREAM"] = 1, ["SOCK_DGRAM"] = 2, ["SOCK_NONBLOCK"] = 0x800, ["SOCK_CLOEXEC"] = 0x8_0000,
        ["IPPROTO_IP"] = 0, ["IPPROTO_TCP"] = 6, ["IPPROTO_UDP"] = 17, ["IPPROTO_IPV6"] = 41,
        ["SOL_SOCKET"] = 1, ["SOL_TCP"] = 6, ["SOL_IP"] = 0, ["SOL_UDP"] = 17, ["SOL_IPV6"] = 41,
        ["SHUT_RD"] = 0, ["SHUT_WR"] = 1, ["SHUT_RDWR"] = 2, ["F_GETFL"] = 3, ["F_SETFL"] = 4,
        ["SIOCINQ"] = 0x541B, ["FIONREAD"] = 0x541B, ["SIOCOUTQ"] = 0x5411, ["SIOCOUTQNSD"] = 0x894B,
        ["MSG_OOB"] = 1, ["MSG_PEEK"] = 2, ["MSG_TRUNC"] = 0x20, ["MSG_DONTWAIT"] = 0x40, ["MSG_EOR"] = 0x80, ["MSG_WAITALL"] = 0x100, ["MSG_ERRQUEUE"] = 0x2000,
        ["MSG_NOSIGNAL"] = 0x4000, ["MSG_MORE"] = 0x8000, ["MSG_ZEROCOPY"] = 0x400_0000, ["MSG_FASTOPEN"] = 0x2000_0000,
        ["EPOLL_CTL_ADD"] = 1, ["EPOLL_CTL_DEL"] = 2, ["EPOLL_CTL_MOD"] = 3, ["SPLICE_F_MOVE"] = 1, ["SPLICE_F_NONBLOCK"] = 2,
        ["SO_DEBUG"] = 1, ["SO_REUSEADDR"] = 2, ["SO_TYPE"] = 3, ["SO_ERROR"] = 4, ["SO_DONTROUTE"] = 5, ["SO_BROADCAST"] = 6, ["SO_SNDBUF"] = 7, ["SO_RCVBUF"] = 8,
        ["SO_KEEPALIVE"] = 9, ["SO_OOBINLINE"] = 10, ["SO_PRIORITY"] = 12, ["SO_LINGER"] = 13, ["SO_REUSEPORT"] = 15, ["SO_RCVLOWAT"] = 18, ["SO_SNDLOWAT"] = 19,
        ["SO_TIMESTAMP"] = 29, ["SO_ACCEPTCONN"] = 30, ["SO_SNDBUFFORCE"] = 32, ["SO_RCVBUFFORCE"] = 33, ["SO_TIMESTAMPNS"] = 35, ["SO_MARK"] = 36, ["SO_TIMESTAMPING"] = 37,
        ["SO_PROTOCOL"] = 38, ["SO_DOMAIN"] = 39, ["SO_MAX_PACING_RATE"] = 47, ["SO_ZEROCOPY"] = 60,
        ["TCP_NODELAY"] = 1, ["TCP_MAXSEG"] = 2, ["TCP_CORK"] = 3, ["TCP_KEEPIDLE"] = 4, ["TCP_KEEPINTVL"] = 5, ["TCP_KEEPCNT"] = 6, ["TCP_SYNCNT"] = 7, ["TCP_LINGER2"] = 8,
        ["TCP_DEFER_ACCEPT"] = 9, ["TCP_WINDOW_CLAMP"] = 10, ["TCP_INFO"] = 11, ["TCP_QUICKACK"] = 12, ["TCP_CONGESTION"] = 13, ["TCP_MD5SIG"] = 14,
        ["TCP_THIN_LINEAR_TIMEOUTS"] = 16, ["TCP_THIN_DUPACK"] = 17, ["TCP_USER_TIMEOUT"] = 18, ["TCP_REPAIR"] = 19, ["TCP_FASTOPEN"] = 23, ["TCP_TIMESTAMP"] = 24,
        ["TCP_NOTSENT_LOWAT"] = 25, ["TCP_SAVE_SYN"] = 27, ["TCP_FASTOPEN_CONNECT"] = 30, ["TCP_FASTOPEN_KEY"] = 33, ["TCP_FASTOPEN_NO_COOKIE"] = 34,
        ["TCP_INQ"] = 36, ["TCP_TX_DELAY"] = 37, ["TCP_RTO_MAX_MS"] = 44, ["TCP_RTO_MIN_US"] = 45, ["TCP_DELACK_MAX_US"] = 46,
        ["IP_TOS"] = 1, ["IP_TTL"] = 2, ["IP_MTU_DISCOVER"] = 10, ["IP_MTU"] = 14, ["IP_RECVERR"] = 11, ["IP_FREEBIND"] = 15, ["IP_BIND_ADDRESS_NO_PORT"] = 24,
        ["IPV6_UNICAST_HOPS"] = 16, ["IPV6_MTU_DISCOVER"] = 23, ["IPV6_MTU"] = 24, ["IPV6_RECVERR"] = 25, ["IPV6_V6ONLY"] = 26, ["IPV6_TCLASS"] = 67,
        ["INADDR_ANY"] = 0,
    };

    private static readonly Dictionary<int, string> s_errors = new()
    {
        [1] = "EPERM", [2] = "ENOENT", [4] = "EINTR", [9] = "EBADF", [11] = "EAGAIN", [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [17] = "EEXIST", [19] = "ENODEV",
        [22] = "EINVAL", [24] = "EMFILE", [25] = "ENOTTY", [32] = "EPIPE", [33] = "EDOM", [42] = "ENOMSG", [71] = "EPROTO", [88] = "ENOTSOCK", [89] = "EDESTADDRREQ", [90] = "EMSGSIZE",
        [91] = "EPROTOTYPE", [92] = "ENOPROTOOPT", [93] = "EPROTONOSUPPORT", [94] = "ESOCKTNOSUPPORT", [95] = "EOPNOTSUPP", [97] = "EAFNOSUPPORT", [98] = "EADDRINUSE",
        [99] = "EADDRNOTAVAIL", [100] = "ENETDOWN", [101] = "ENETUNREACH", [103] = "ECONNABORTED", [104] = "ECONNRESET", [105] = "ENOBUFS", [106] = "EISCONN",
        [107] = "ENOTCONN", [110] = "ETIMEDOUT", [111] = "ECONNREFUSED", [112] = "EHOSTDOWN", [113] = "EHOSTUNREACH", [114] = "EALREADY", [115] = "EINPROGRESS",
    };

    /// <summary>A name's number, for values that this room's interpreter compares by name.</summary>
    internal static long ValueOf(Language.ScriptValue value) => value switch
    {
        Name name when s_names.TryGetValue(name.Value, out var number) => number,
        Or or => or.Parts.Aggregate(0L, static (sum, part) => sum | ValueOf(part)),
        List { Items: [var only] } => ValueOf(only),
        _ => Constants.ValueOf(value),
    };

    internal static string ErrorName(int number) => s_errors.GetValueOrDefault(number) ?? $"error {number}";
}
