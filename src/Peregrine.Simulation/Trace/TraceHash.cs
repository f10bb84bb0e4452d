// A digest of everything that arrived anywhere in a world: time, place, bytes. Two runs with the same digest were the same run. Not a
// cryptographic hash: nobody here wants to forge one.
using System.Buffers.Binary;
using System.Numerics;
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Trace;

internal struct TraceHash
{
    private ulong _value;

    public TraceHash() => _value = 0xCBF2_9CE4_8422_2325;

    public readonly ulong Value => _value;

    public void Add(Instant time, int place, ReadOnlySpan<byte> bytes)
    {
        Mix((ulong)time.Nanoseconds);
        Mix(((ulong)(uint)place << 32) | (uint)bytes.Length);
        while (bytes.Length >= 8)
        {
            Mix(BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }
        ulong rest = 0;
        foreach (var b in bytes) rest = (rest << 8) | b;
        Mix(rest);
    }

    private void Mix(ulong word)
    {
        _value = (BitOperations.RotateLeft(_value, 23) ^ word) * 0x9E37_79B9_7F4A_7C15;
    }
}
