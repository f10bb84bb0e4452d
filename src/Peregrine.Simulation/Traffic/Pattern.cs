// What applications send: bytes that follow from flow, direction and position, so that whoever receives them knows each one.
namespace Peregrine.Simulation.Traffic;

internal static class Pattern
{
    // A prime, so that bytes which come from the wrong place by any power of two are the wrong bytes.
    private const int Period = 65_521;

    private static readonly byte[] s_bytes = Make();

    /// <summary>The bytes at a position, as many as lie in one piece; at most <paramref name="length"/>.</summary>
    public static ReadOnlySpan<byte> At(int flow, int direction, long position, int length)
    {
        var start = (int)((((long)flow * 2_971) + ((long)direction * 31_337) + position) % Period);
        return s_bytes.AsSpan(start, Math.Min(length, s_bytes.Length - start));
    }

    /// <summary>The index of the first byte that differs, or -1.</summary>
    public static int FirstWrong(int flow, int direction, long position, ReadOnlySpan<byte> bytes)
    {
        for (var done = 0; done < bytes.Length;)
        {
            var expected = At(flow, direction, position + done, bytes.Length - done);
            var same = bytes[done..].CommonPrefixLength(expected);
            if (same < expected.Length) return done + same;
            done += same;
        }
        return -1;
    }

    private static byte[] Make()
    {
        var random = new SimulationRandom(0x7A77, 3);
        var bytes = new byte[Period + 32_768];
        for (var i = 0; i < Period; i++) bytes[i] = (byte)random.NextUInt64();
        Array.Copy(bytes, 0, bytes, Period, bytes.Length - Period);
        return bytes;
    }
}
