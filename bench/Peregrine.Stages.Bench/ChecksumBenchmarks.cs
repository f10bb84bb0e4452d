// The checksum alone, and in one pass with the copy, which is how bytes go from the application to the wire.
using BenchmarkDotNet.Attributes;
using Peregrine.Wire;

namespace Peregrine.Stages.Bench;

public class ChecksumBenchmarks
{
    private readonly byte[] _source = new byte[9_000], _target = new byte[9_000];

    [Params(20, 64, 1_448, 9_000)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void Fill() => new Random(1).NextBytes(_source);

    [Benchmark]
    public uint Sum() => InternetChecksum.Sum(_source.AsSpan(0, Bytes));

    [Benchmark]
    public uint CopyAndSum() => InternetChecksum.CopyAndSum(_source.AsSpan(0, Bytes), _target);

    [Benchmark(Baseline = true)]
    public void CopyAlone() => _source.AsSpan(0, Bytes).CopyTo(_target);
}
