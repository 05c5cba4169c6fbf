# docker build -t resnet .                                   CPU; --build-arg TORCH= for PyTorch with CUDA
# docker run -v "$PWD/results:/resnet/results" resnet        the demo; its report is in results/
# docker run resnet snakemake -n --config scale=paper        anything else
FROM python:3.11-slim
RUN apt-get update && apt-get install --no-install-recommends --yes make && rm -rf /var/lib/apt/lists/*
WORKDIR /resnet
COPY Makefile requirements.txt constraints.txt ./
ARG TORCH=cpu
RUN make TORCH="$TORCH" .venv/.requirements.txt && rm -rf ~/.cache
COPY . .
# The copy is newer than the mark of the installation.
RUN touch .venv/.requirements.txt
ENV PATH=/resnet/.venv/bin:$PATH
CMD ["snakemake", "--cores", "all"]
