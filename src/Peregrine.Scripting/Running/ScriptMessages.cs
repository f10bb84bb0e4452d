// Control messages: of recvmsg as scripts expect them, how much is left to read (TCP_CM_INQ), and notices of the error queue; of sendmsg, what
// is to be told of this call's bytes.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptMessages(ScriptWorld world)
{
    private readonly PosixSockets _x = world.Sockets;

    /// <summary>After a call that read: compares the control messages that are expected.</summary>
    internal PosixResult Check(IReadOnlyList<ScriptValue> a, ScriptValue? control, PosixResult result)
    {
        if (control is not List expected || result.Blocks || result.Errno is not null) return result;
        foreach (var message in expected.Items.OfType<Struct>())
        {
            if (message.Get("cmsg_type") is not Name { Value: "TCP_CM_INQ" }) throw new NotApplicableException($"a control message of the type {message.Get("cmsg_type")}");
            var want = Constants.ValueOf(message.Get("cmsg_data") ?? new Number(0));
            var seen = Inq(ScriptCalls.Integer(a, 0));
            if (seen != want) throw new ScriptFailedException($"TCP_CM_INQ is {seen}, not {want}");
        }
        return result;
    }

    // An end of the stream counts as one more byte to read.
    private long Inq(long fd)
    {
        var status = _x.Stack.Tcp.GetStatus(_x.Get(fd)!.Connection);
        return status.ReadableBytes == 0 && status.PeerClosed ? 1 : status.ReadableBytes;
    }

    /// <summary>Before a datagram is written: nothing of it can be said by its call alone.</summary>
    internal static void Refuse(IReadOnlyList<ScriptValue> a)
    {
        if (a.Count > 1 && a[1] is Struct call && call.Get("msg_control") is List { Items: [Struct first, ..] }) throw new NotApplicableException($"a datagram with the control message {first.Get("cmsg_type")}");
    }

    /// <summary>After a call that wrote: what is to be told of its bytes.</summary>
    internal PosixResult AfterWrite(IReadOnlyList<ScriptValue> a, List<string> flags, PosixResult result)
    {
        if (result.Errno is not null || result.Value <= 0 || _x.Get(ScriptCalls.Integer(a, 0)) is not { Kind: PosixKind.Tcp } s) return result;
        if (flags.Contains("MSG_ZEROCOPY") && s.Kept.GetValueOrDefault("SO_ZEROCOPY") != 0) s.Notices.OnZeroCopy(s.BytesWritten);
        var stamps = s.Kept.GetValueOrDefault("SO_TIMESTAMPING");
        var wanted = (StampsOf(a) ?? (PosixStamps)stamps) & PosixStamps.All;
        if (wanted == PosixStamps.None) return result;
        var key = (stamps & Constants.StampKeys) != 0 ? s.BytesWritten - s.StampOrigin - 1 : 0;
        s.Notices.OnWrite(s.BytesWritten, key, wanted);
        return result;
    }

    // sendmsg: which moments of its last byte are told is said by the call alone (SO_TIMESTAMPING as a control message), what is told of them by the socket.
    private static PosixStamps? StampsOf(IReadOnlyList<ScriptValue> a)
    {
        if (a.Count < 2 || a[1] is not Struct call || call.Get("msg_control") is not List messages) return null;
        PosixStamps? stamps = null;
        foreach (var message in messages.Items.OfType<Struct>())
        {
            if (message.Get("cmsg_type") is not Name { Value: "SO_TIMESTAMPING" }) throw new NotApplicableException($"a control message of the type {message.Get("cmsg_type")}");
            stamps = (PosixStamps)Constants.ValueOf(message.Get("cmsg_data") ?? new Number(0));
        }
        return stamps;
    }

    /// <summary>recvmsg with MSG_ERRQUEUE: the next notice, compared with what is expected.</summary>
    internal PosixResult TakeNotice(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(ScriptCalls.Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind == PosixKind.Udp && (s.Kept.GetValueOrDefault("IP_RECVERR") | s.Kept.GetValueOrDefault("IPV6_RECVERR")) != 0) throw new NotApplicableException("the error queue of a socket for datagrams");
        if (!s.Notices.TryTake(out var notice)) return PosixResult.Fail("EAGAIN");
        if (((Struct)a[1]).Get("msg_control") is not List expected) return PosixResult.Success;
        foreach (var message in expected.Items.OfType<Struct>())
        {
            if (message.Get("cmsg_data") is Struct data) Compare(notice, data);
        }
        return PosixResult.Success;
    }

    private void Compare(PosixNotice notice, Struct expected)
    {
        if (expected.Get("scm_sec") is { } seconds)
        {
            var want = Constants.ValueOf(seconds) * 1_000_000 + Constants.ValueOf(expected.Get("scm_nsec") ?? new Number(0)) / 1_000;
            if (notice.AtMicroseconds is not { } at || Math.Abs(at - want) > world.Setup.ToleranceMicroseconds)
                throw new ScriptFailedException($"the timestamp is of {notice.AtMicroseconds} µs, not {want}");
            return;
        }
        Compare("ee_errno", notice.Errno, expected);
        Compare("ee_origin", notice.Origin, expected);
        Compare("ee_code", notice.Code, expected);
        Compare("ee_info", notice.Info, expected);
        Compare("ee_data", $"{notice.Data}", expected);
    }

    private static void Compare(string field, string seen, Struct expected)
    {
        var want = expected.Get(field) switch { Name name => name.Value, Number number => $"{number.Value}", _ => seen };
        if (want != seen) throw new ScriptFailedException($"{field} is {seen}, not {want}");
    }
}
