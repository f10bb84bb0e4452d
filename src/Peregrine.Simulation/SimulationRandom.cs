// The chances of a world: one seed, and a stream of its own for each purpose, so that leaving one fault out does not change what the others do.
// Integers only. It is splitmix64, which is enough for choosing faults; stacks have their own generator, seeded from here.
namespace Peregrine.Simulation;

/// <summary>A seeded stream of chances: the same seed and purpose give the same stream on every machine.</summary>
public sealed class SimulationRandom
{
    private ulong _state;

    /// <summary>Makes the stream of a purpose.</summary>
    /// <param name="seed">The world's seed.</param>
    /// <param name="purpose">What the stream is for.</param>
    public SimulationRandom(ulong seed, ulong purpose = 0)
    {
        _state = seed ^ (purpose * 0xD1B5_4A32_D192_ED03);
        _state = NextUInt64() ^ purpose;
    }

    /// <summary>The next 64 random bits.</summary>
    public ulong NextUInt64()
    {
        _state += 0x9E37_79B9_7F4A_7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }

    /// <summary>A number from 0 to <paramref name="bound"/> − 1; 0 when the bound is 1 or less.</summary>
    public int Next(int bound) => bound <= 1 ? 0 : (int)(((NextUInt64() >> 32) * (uint)bound) >> 32);

    /// <summary>A number from <paramref name="min"/> to <paramref name="max"/>, both included.</summary>
    public int Between(int min, int max) => min + Next(max - min + 1);

    /// <summary>True in so many of a hundred cases.</summary>
    public bool Percent(int percent) => Next(100) < percent;

    /// <summary>True in so many of a million cases.</summary>
    public bool PerMillion(int parts) => parts > 0 && Next(1_000_000) < parts;

    /// <summary>A size up to <paramref name="max"/>: small ones often, large ones sometimes.</summary>
    public int Size(int max) => 1 + Next(Math.Max(1, max >> Next(12)));

    /// <summary>One of several.</summary>
    public T Pick<T>(params ReadOnlySpan<T> items) => items[Next(items.Length)];
}
