// A digest of everything that arrived anywhere in a world: time, place, bytes. Two runs with the same digest were the same run. Not a
// cryptographic hash: nobody here wants to forge one. Four sums side by side, because one alone waits for its own multiplications.
using System.Buffers.Binary;
using System.Numerics;
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Trace;

internal struct TraceHash
{
    private ulong _a, _b, _c, _d;

    public TraceHash() => (_a, _b, _c, _d) = (0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4, 0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03);

    public readonly ulong Value => Mix(Mix(Mix(_a, _b), _c), _d);

    public void Add(Instant time, int place, ReadOnlySpan<byte> bytes)
    {
        var (a, b, c, d) = (Mix(_a, (ulong)time.Nanoseconds), Mix(_b, ((ulong)(uint)place << 32) | (uint)bytes.Length), _c, _d);
        while (bytes.Length >= 32)
        {
            a = Mix(a, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            b = Mix(b, BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
            c = Mix(c, BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]));
            d = Mix(d, BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]));
            bytes = bytes[32..];
        }
        while (bytes.Length >= 8)
        {
            c = Mix(c, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }
        ulong rest = 0;
        foreach (var each in bytes) rest = (rest << 8) | each;
        (_a, _b, _c, _d) = (a, b, c, Mix(d, rest));
    }

    private static ulong Mix(ulong sum, ulong word) => (BitOperations.RotateLeft(sum, 23) ^ word) * 0x9E37_79B9_7F4A_7C15;
}
