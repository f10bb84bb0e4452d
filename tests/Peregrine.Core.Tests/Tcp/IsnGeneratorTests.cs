using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class IsnGeneratorTests
{
    private static readonly IpAddress A = IpAddress.Parse("10.0.0.1"), B = IpAddress.Parse("10.0.0.2");

    [Fact]
    public void IsnRisesByOneEveryFourMicroseconds()
    {
        var isn = new IsnGenerator(StackSecrets.FromSeed(1));
        var first = isn.Next(A, 1, B, 2, new Instant(4_000_000));
        Assert.Equal(first, isn.Next(A, 1, B, 2, new Instant(4_003_999)));
        Assert.Equal(first + 1, isn.Next(A, 1, B, 2, new Instant(4_004_000)));
        Assert.Equal(first + 250_000, isn.Next(new FourTuple(new Endpoint(A, 1), new Endpoint(B, 2)), new Instant(1_004_000_000)));
        // It goes round in 4.77 hours, without a jump.
        Assert.Equal(first + 5, isn.Next(A, 1, B, 2, new Instant(4_000_000 + (((1L << 32) + 5) * 4_000))));
    }

    [Fact]
    public void IsnAndTimestampOffsetDependOnTupleAndSecret()
    {
        var isn = new IsnGenerator(StackSecrets.FromSeed(1));
        var other = new IsnGenerator(StackSecrets.FromSeed(2));
        uint[] values =
        [
            isn.Next(A, 1, B, 2, Instant.Zero).Value, isn.Next(A, 2, B, 2, Instant.Zero).Value, isn.Next(A, 1, B, 3, Instant.Zero).Value,
            isn.Next(B, 1, A, 2, Instant.Zero).Value, isn.Next(A, 1, A, 2, Instant.Zero).Value, other.Next(A, 1, B, 2, Instant.Zero).Value,
            isn.TimestampOffset(A, 1, B, 2), isn.TimestampOffset(A, 2, B, 2), other.TimestampOffset(A, 1, B, 2),
        ];
        Assert.Equal(values.Length, values.Distinct().Count());
        Assert.Equal(values[6], isn.TimestampOffset(new FourTuple(new Endpoint(A, 1), new Endpoint(B, 2))));
    }
}
