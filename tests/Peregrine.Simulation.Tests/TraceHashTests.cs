// The same seed, the same run: twice here, and on x64 and Arm64. The x64 run writes its hashes beside the build, and the same build run as
// Arm64 code compares with them: kept in the repository they would have to change with every change of the stack.
using System.Globalization;
using System.Runtime.InteropServices;
using Peregrine.Core;
using Peregrine.Simulation.Swarm;

namespace Peregrine.Simulation.Tests;

public sealed class TraceHashTests
{
    private static readonly ulong[] s_seeds = [1, 2, 3, 5, 8];

    // Calls on sockets end by exceptions too, and the emulator survives none.
    private static readonly SwarmOptions s_plain = new() { IsPlain = true };
    private static readonly SwarmOptions s_here = Environment.GetEnvironmentVariable("PEREGRINE_EMULATED") == "1" ? s_plain : new SwarmOptions();

    private static string HashFile => Path.Combine(AppContext.BaseDirectory, "trace-hashes.txt");

    [Fact]
    public void ASeedGivesTheSameTraceTwice()
    {
        foreach (var seed in s_seeds[..2])
        {
            var first = SwarmRun.Run(seed, s_here);
            var second = SwarmRun.Run(seed, s_here);
            Assert.Equal(first.Hash, second.Hash);
        }
        Assert.NotEqual(SwarmRun.Run(1, s_here).Hash, SwarmRun.Run(2, s_here).Hash);
    }

    [Fact]
    public void ASeedGivesTheSameTraceOnEveryProcessor()
    {
        var lines = s_seeds.Select(static seed => string.Create(CultureInfo.InvariantCulture, $"{seed} {SwarmRun.Run(seed, s_plain).Hash:x16}")).ToList();
        lines.Insert(0, $"stack {typeof(NetworkStack).Assembly.ManifestModule.ModuleVersionId}");
        if (RuntimeInformation.ProcessArchitecture == Architecture.X64)
        {
            File.WriteAllLines(HashFile, lines);
            Assert.Equal(s_seeds.Length + 1, lines.Count);
            return;
        }
        Assert.True(File.Exists(HashFile), "run this test on x64 first: it leaves its hashes in " + HashFile);
        var expected = File.ReadAllLines(HashFile);
        Assert.SkipWhen(expected[0] != lines[0], "the hashes are of another build: run this test on x64 first");
        Assert.Equal(expected, lines);
    }
}
