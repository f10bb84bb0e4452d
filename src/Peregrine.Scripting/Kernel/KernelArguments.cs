// Arguments of calls as the kernel wants them: addresses, buffers and option values as bytes that do not move.
using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;
using Peregrine.Wire;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal static unsafe class KernelArguments
{
    private const int BufferMax = 64 * 1024 * 1024;

    /// <summary>Zeros that the collector leaves where they are, for as long as somebody refers to them.</summary>
    internal static byte[] Fixed(long length) => GC.AllocateArray<byte>((int)Math.Clamp(length, 0, BufferMax), pinned: true);

    internal static byte[] Fixed(ReadOnlySpan<byte> bytes)
    {
        var copy = Fixed(bytes.Length);
        bytes.CopyTo(copy);
        return copy;
    }

    internal static byte* At(byte[]? bytes) => bytes is null ? null : (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(bytes));

    /// <summary>struct sockaddr_in or sockaddr_in6: the family in the machine's order, port and address in the network's.</summary>
    internal static byte[] Address(ScriptSetup setup, ScriptValue value, IpAddress usual)
    {
        if (value is Name { Value: "AF_UNSPEC" } || (value is Struct s && s.Get("sa_family") is Name { Value: "AF_UNSPEC" })) return Fixed(16);
        var endpoint = ScriptCalls.Address(value, new Endpoint(usual, ScriptCalls.BoundPort));
        var name = Fixed(setup.IsV6Socket ? 28 : 16);
        MemoryMarshal.Write(name, (ushort)(setup.IsV6Socket ? 10 : 2));
        BinaryPrimitives.WriteUInt16BigEndian(name.AsSpan(2), endpoint.Port);
        if (!setup.IsV6Socket || !endpoint.Address.IsIPv4)
        {
            endpoint.Address.WriteTo(name.AsSpan(setup.IsV6Socket ? 8 : 4));
            return name;
        }
        (name[18], name[19]) = (0xFF, 0xFF);
        endpoint.Address.WriteTo(name.AsSpan(20));
        return name;
    }

    /// <summary>The lengths of the buffers of a vector, or of a message's.</summary>
    internal static long[] VectorLengths(ScriptValue vector) => vector is Ellipsis or Name { Value: "NULL" } ? [] : vector is List list
        ? [.. list.Items.Select(static part => part is Struct { Fields: [_, var size, ..] } ? Constants.ValueOf(size.Value) : 0)]
        : throw new NotApplicableException("a vector of buffers that is no list");

    /// <summary>An option's value as bytes; null for NULL.</summary>
    internal static byte[]? OptionValue(ScriptValue value, ScriptValue? length)
    {
        var inner = value is List { Items: [var only] } ? only : value;
        switch (inner)
        {
            case Name { Value: "NULL" }:
                return null;
            case Text text:
                return Fixed(text.Value.Contains(@"\x", StringComparison.Ordinal) ? Hex(text.Value) : Encoding.ASCII.GetBytes(text.Value + "\0"));
            case Struct linger when (linger.Get("onoff") ?? linger.Get("l_onoff")) is { } on:
                var pair = Fixed(8);
                MemoryMarshal.Write(pair, (int)Constants.ValueOf(on));
                MemoryMarshal.Write(pair.AsSpan(4), (int)Constants.ValueOf(linger.Get("linger") ?? linger.Get("l_linger") ?? new Number(0)));
                return pair;
            case Struct timeout when length is Number { Value: 16 } && ScriptTimeouts.Read(timeout) is var (seconds, microseconds):
                var time = Fixed(16);
                MemoryMarshal.Write(time, seconds);
                MemoryMarshal.Write(time.AsSpan(8), microseconds);
                return time;
            default:
                var size = length is Number { Value: > 0 and <= 64 } said ? (int)said.Value : sizeof(int);
                var bytes = Fixed(Math.Max(size, sizeof(long)));
                MemoryMarshal.Write(bytes, Constants.ValueOf(inner));
                return Fixed(bytes.AsSpan(0, size));
        }
    }

    private static byte[] Hex(string text) =>
        [.. text.Split(@"\x", StringSplitOptions.RemoveEmptyEntries).Select(static hex => byte.Parse(hex.AsSpan(0, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
}
