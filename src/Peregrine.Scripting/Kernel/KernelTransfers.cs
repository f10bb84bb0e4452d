// Reading and writing by the running kernel: read and write as they are, all others as recvmsg and sendmsg.
using System.Runtime.InteropServices;
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;
using static Peregrine.Scripting.Kernel.KernelNative;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal sealed unsafe class KernelTransfers(ScriptSetup setup, Func<IReadOnlyList<ScriptValue>, int, int> real)
{
    private readonly long _startNanoseconds = (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;

    /// <summary>What one call moves.</summary>
    private sealed record Parts(byte[] Vectors, int Count, byte[][] Buffers, byte[]? Name, byte[] Control, int Flags);

    internal Func<long>? Prepare(string call, IReadOnlyList<ScriptValue> a)
    {
        var fd = real(a, 0);
        switch (call)
        {
            case "read" or "write":
                var length = (nuint)Constants.ValueOf(a[2]);
                var buffer = a[1] is Name { Value: "NULL" } ? null : KernelArguments.Fixed((long)length);
                return call == "read" ? () => Outcome(Read(fd, KernelArguments.At(buffer), length)) : () => Outcome(Write(fd, KernelArguments.At(buffer), length));
            case "readv":
                return Receiving(fd, Gather(a[1], null, 0), null);
            case "writev":
                return Sending(fd, Gather(a[1], null, 0));
            case "recv" or "recvfrom":
                return Receiving(fd, One(a, null), null);
            case "send":
                return Sending(fd, One(a, null));
            case "sendto":
                return Sending(fd, One(a, a.Count > 4 ? KernelArguments.Address(setup, a[4], setup.Remote) : null));
            case "recvmsg" when a[1] is Struct message:
                return Receiving(fd, Gather(message.Get("msg_iov") ?? new List([]), null, Flags(a, 2), 1_024), message.Get("msg_control") as List);
            case "sendmsg" when a[1] is Struct message:
                var to = message.Get("msg_name") is { } name && Flags(a, 2) is var flags && (flags & 0x2000_0000) != 0 ? KernelArguments.Address(setup, name, setup.Remote) : null;
                var control = message.Get("msg_control") is List said ? KernelMessages.Make(said) : KernelArguments.Fixed(0);
                return Sending(fd, Gather(message.Get("msg_iov") ?? new List([]), to, Flags(a, 2)) with { Control = control });
            case "sendfile":
                var (file, most) = (real(a, 1), (nuint)Constants.ValueOf(a[3]));
                var offset = a[2] is List { Items: [Number start] } ? KernelArguments.Fixed(BitConverter.GetBytes(start.Value)) : null;
                return () => Outcome(SendFile(fd, file, KernelArguments.At(offset), most));
            case "splice":
                var (target, count, how) = (real(a, 2), (nuint)Constants.ValueOf(a[4]), a.Count > 5 ? (uint)Constants.ValueOf(a[5]) : 0);
                return () => Outcome(Splice(fd, null, target, null, count, how));
            default:
                return null;
        }
    }

    private static int Flags(IReadOnlyList<ScriptValue> a, int index) => index < a.Count ? (int)Constants.ValueOf(a[index]) : 0;

    private static Parts One(IReadOnlyList<ScriptValue> a, byte[]? name)
    {
        var size = Constants.ValueOf(a[2]);
        return Make([a[1] is Name { Value: "NULL" } ? null : KernelArguments.Fixed(size)], [size], name, Flags(a, 3), 0);
    }

    private static Parts Gather(ScriptValue vector, byte[]? name, int flags, int controlLength = 0)
    {
        var lengths = KernelArguments.VectorLengths(vector);
        return Make([.. lengths.Select(KernelArguments.Fixed)], lengths, name, flags, controlLength);
    }

    private static Parts Make(byte[]?[] buffers, long[] lengths, byte[]? name, int flags, int controlLength)
    {
        var vectors = KernelArguments.Fixed((long)sizeof(Vector) * buffers.Length);
        var at = (Vector*)KernelArguments.At(vectors);
        for (var i = 0; i < buffers.Length; i++) at[i] = new Vector { Base = KernelArguments.At(buffers[i]), Length = (nuint)lengths[i] };
        return new Parts(vectors, buffers.Length, [.. buffers.OfType<byte[]>()], name, KernelArguments.Fixed(controlLength), flags);
    }

    private static Message MessageOf(Parts parts) => new()
    {
        Name = KernelArguments.At(parts.Name),
        NameLength = (uint)(parts.Name?.Length ?? 0),
        Vectors = (Vector*)KernelArguments.At(parts.Vectors),
        VectorCount = (nuint)parts.Count,
        Control = KernelArguments.At(parts.Control.Length == 0 ? null : parts.Control),
        ControlLength = (nuint)parts.Control.Length,
    };

    private static Func<long> Sending(int fd, Parts parts) => () =>
    {
        var message = MessageOf(parts);
        return Outcome(Send(fd, &message, parts.Flags));
    };

    private Func<long> Receiving(int fd, Parts parts, List? expected) => () =>
    {
        var message = MessageOf(parts);
        var received = Outcome(Receive(fd, &message, parts.Flags));
        if (received >= 0 && expected is not null) KernelMessages.Check(parts.Control.AsSpan(0, (int)message.ControlLength), expected, _startNanoseconds, setup.ToleranceMicroseconds);
        return received;
    };
}
