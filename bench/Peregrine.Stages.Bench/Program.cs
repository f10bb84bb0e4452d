// Nanoseconds and bytes allocated of each stage that a packet goes through, by BenchmarkDotNet: a stage a class.
//   dotnet run -c Release --project bench/Peregrine.Stages.Bench -- --filter '*'                  all, some ten minutes
//   dotnet run -c Release --project bench/Peregrine.Stages.Bench -- --filter '*Header*' --job short
// What the stages together cost, for a request or for bulk data, is Peregrine.Core.Bench's to say.
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

// In this process: the default builds a project for each benchmark, which would need the packages' server each time.
var here = Job.Default.WithToolchain(InProcessEmitToolchain.Instance).AsMutator();
var config = DefaultConfig.Instance.AddJob(here).AddDiagnoser(MemoryDiagnoser.Default).AddColumn(StatisticColumn.Min, StatisticColumn.Median)
    .WithArtifactsPath(Path.Combine("artifacts", "stages"));
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args, config);
