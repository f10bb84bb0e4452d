// The machine that a measurement ran on, as far as a reader needs it to judge the figures.
using System.Runtime.InteropServices;

namespace Peregrine.Bench.Results;

internal sealed record MachineDescription
{
    public string Processor { get; init; } = "";

    public int ProcessorCount { get; init; }

    public string Architecture { get; init; } = "";

    public string Kernel { get; init; } = "";

    public string Runtime { get; init; } = "";

    public long MemoryBytes { get; init; }

    /// <summary>Programs that wanted to run, a minute's mean, when the measurement began.</summary>
    public double LoadBefore { get; init; }

    internal static MachineDescription Read()
    {
        // Arm64 names an implementer and a part instead of a model.
        var processor = Lines("/proc/cpuinfo").FirstOrDefault(static line => line.StartsWith("model name", StringComparison.Ordinal)
            || line.StartsWith("CPU part", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown";
        var load = Lines("/proc/loadavg").FirstOrDefault()?.Split(' ')[0];
        return new MachineDescription
        {
            Processor = processor,
            ProcessorCount = Environment.ProcessorCount,
            Architecture = RuntimeInformation.ProcessArchitecture.ToString(),
            Kernel = "Linux " + (Lines("/proc/sys/kernel/osrelease").FirstOrDefault() ?? "?"),
            Runtime = RuntimeInformation.FrameworkDescription,
            MemoryBytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            LoadBefore = double.TryParse(load, System.Globalization.CultureInfo.InvariantCulture, out var value) ? value : 0,
        };
    }

    private static string[] Lines(string path) => File.Exists(path) ? File.ReadAllLines(path) : [];
}
