// The sizes of a connection's two parts: a million of them are held, so each byte is a megabyte.
using System.Numerics;
using System.Runtime.CompilerServices;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp;

public sealed class TcbTests
{
    [Fact]
    public void BothPartsTogetherTakeAtMost404Bytes()
    {
        // With the slot of the demux table, the timer and the API's object an idle end may take 500 in all: IdleConnectionTests measures that.
        Assert.InRange(Unsafe.SizeOf<Tcb>() + Unsafe.SizeOf<TcbCold>(), 1, 404);
    }

    [Fact]
    public void UsualSegmentsTouchWholeLinesOfTheHotPartAndTheFrontOfTheCold()
    {
        Assert.Equal(0, Unsafe.SizeOf<Tcb>() % 64);
        var cold = default(TcbCold);
        Assert.Equal(TcbCold.UsualBytes, Unsafe.ByteOffset(ref Unsafe.As<TcbCold, byte>(ref cold), ref Unsafe.As<Deadline, byte>(ref cold.Keepalive)));
    }

    [Fact]
    public void StridesAreNoLargePowerOfTwo()
    {
        // Strides of 512 and the like put the same field of all connections into few sets of the cache.
        Assert.InRange(BitOperations.TrailingZeroCount(Unsafe.SizeOf<Tcb>()), 0, 6);
        Assert.InRange(BitOperations.TrailingZeroCount(Unsafe.SizeOf<TcbCold>()), 0, 6);
    }
}
